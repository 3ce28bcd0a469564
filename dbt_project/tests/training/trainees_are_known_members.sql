{{ config(severity='warn', meta={
    'owner': 'engineer on duty',
    'action': 'Compare the identity numbers of both extracts of the sender: the person keys do not meet.',
}) }}
{#
What: in the last month with enrolments at least some of a sender's trainees are members, where it has members at all.
When: an extract's identity numbers are damaged or of another kind, so that persons do not meet across sources.
How to resolve: see the action above.
#}
with

by_sender as (
    select
        sender,
        sum(persons) as persons,
        sum(member_persons) as member_persons
    from {{ ref('training_month') }}
    where
        month in (
            select month from {{ ref('int_month_covered') }}
            where is_last
        )
    group by sender
)

select format('Of %s trainees of %s none is a member.', by_sender.persons, by_sender.sender) as audit_message
from by_sender
where by_sender.persons >= 30 and by_sender.member_persons = 0
