{{ config(materialized='view', tags=['static']) }}
with

final as (
    select
        'all_five_rate' as indicator,
        month,
        sender,
        sum(all_five) as numerator,
        sum(members) as denominator
    from {{ ref('int_employment_cell') }}
    group by month, sender
)

select * from final
