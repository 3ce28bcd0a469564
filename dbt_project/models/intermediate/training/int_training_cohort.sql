{{ config(materialized='view', tags=['static']) }}
{# Who passed a training, by the month it ended in. #}
with

passed as (
    select
        date_trunc('month', ended_on)::date as month,
        sender,
        coalesce(training_type, 'unknown') as training_type,
        person_key,
        ended_on
    from {{ ref('enrolment') }}
    where result = '1' and ended_on is not null
),

final as (
    select
        month,
        sender,
        training_type,
        person_key,
        min(ended_on) as ended_on
    from passed
    group by month, sender, training_type, person_key
)

select * from final
