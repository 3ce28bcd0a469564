{{ config(materialized='view', tags=['static']) }}
with

final as (
    select month, person_key from {{ ref('int_changed_member_month') }}
    union
    select month, person_key from {{ ref('int_changed_insurance_month') }}
)

select * from final
