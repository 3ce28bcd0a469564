{{ config(materialized='view', tags=['static']) }}
with

final as (
    select
        month,
        person_key,
        is_employee_insured,
        is_resident_insured,
        is_flexible,
        is_retired
    from {{ ref('insurance_month') }}
)

select * from final
