{{ config(severity='warn', meta={
    'owner': 'steward of the membership register',
    'action': 'Ask the sender whether the snapshot is complete; withdraw it if not (warehouse withdraw).',
}) }}
{#
What: no sender loses more than 15 % of its members from one month to the next.
When: a snapshot arrived that holds only part of the register, or a mass departure is real.
How to resolve: see the action above.
#}
with

counted as (
    select
        sender,
        month,
        members,
        lag(members) over (partition by sender order by month) as members_before,
        lag(month) over (partition by sender order by month) as month_before
    from {{ ref('int_member_summary_month') }}
)

select format('%s: %s members in %s, %s in %s.', sender, members, month, members_before, month_before) as audit_message
from counted
where members < 0.85 * members_before and members_before >= 100
