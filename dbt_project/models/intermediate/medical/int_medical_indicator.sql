{{ config(materialized='view', tags=['static']) }}
with

final as (
    select
        'employee_insured_rate' as indicator,
        month,
        sender,
        sum(employee_insured) as numerator,
        sum(members) as denominator
    from {{ ref('int_insurance_cell') }}
    group by month, sender
)

select * from final
