{{ config(materialized='view', tags=['static']) }}
with

final as (
    select month from {{ ref('int_touched_month') }}
    union
    select month from {{ ref('int_touched_insurance_month') }}
)

select * from final
