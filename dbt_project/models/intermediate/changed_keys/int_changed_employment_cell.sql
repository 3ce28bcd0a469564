{{ config(materialized='view', tags=['static']) }}
with

final as (
    select month from {{ ref('int_changed_coverage_month') }}
    union
    select month from {{ ref('int_changed_employment_month') }}
    union
    select month from {{ ref('int_changed_paid_month') }}
)

select * from final
