{{ config(severity='warn', meta={
    'owner': 'engineer on duty',
    'action': 'Look at the delivery in marts.delivery_scorecard and ask the sender whether it is complete.',
}) }}
{#
What: a sender's accepted rows of a source in its last period are at least half and at most twice those of the period before.
When: an extract was cut short, or delivered twice over.
How to resolve: see the action above.
#}
with

volume as (
    select
        source,
        sender,
        period,
        sum(rows_loaded) as rows_loaded
    from {{ ref('delivery_scorecard') }}
    where status = 'accepted' and mode = 'snapshot'
    group by source, sender, period
),

compared as (
    select
        *,
        lag(rows_loaded) over (partition by source, sender order by period) as rows_before,
        row_number() over (partition by source, sender order by period desc) as place
    from volume
)

select
    format(
        '%s of %s: %s rows in %s, %s the time before.', source, sender, rows_loaded, period, rows_before
    ) as audit_message
from compared
where place = 1 and rows_before >= 100 and (rows_loaded < 0.5 * rows_before or rows_loaded > 2 * rows_before)
