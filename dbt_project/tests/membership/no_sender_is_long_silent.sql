{{ config(severity='warn', meta={
    'owner': 'steward of the membership register',
    'action': 'Ask the sender for its delivery: its figures repeat its last state.',
}) }}
{#
What: no sender of membership is silent for more than two months before the last covered one.
When: a sender missed deliveries; its last state is carried on (specification, figures 1).
How to resolve: see the action above.
#}
with

last_heard as (
    select sender, max(month) as month
    from {{ ref('int_delivery') }}
    where source = 'membership'
    group by sender
)

select
    format(
        '%s was last heard of in %s; the last month covered is %s.', last_heard.sender, last_heard.month, covered.month
    ) as audit_message
from last_heard
cross join {{ ref('int_month_covered') }} as covered
where covered.is_last and last_heard.month < covered.month - interval '2 months'
