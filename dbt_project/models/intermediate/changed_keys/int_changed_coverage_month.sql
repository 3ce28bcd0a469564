{{ config(materialized='view', tags=['static']) }}
with

final as (
    select month from {{ ref('int_changed_month') }}
    union
    select month from {{ ref('int_changed_insurance_month') }}
)

select * from final
