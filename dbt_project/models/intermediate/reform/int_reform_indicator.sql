{{ config(materialized='view', tags=['static']) }}
{# What each subject has counted for the indicators, in one table. #}
with

final as (
    select * from {{ ref('int_membership_indicator') }}
    union all
    select * from {{ ref('int_training_indicator') }}
    union all
    select * from {{ ref('int_medical_indicator') }}
    union all
    select * from {{ ref('int_employment_indicator') }}
    union all
    select * from {{ ref('int_chain_indicator') }}
    union all
    select * from {{ ref('int_new_form_indicator') }}
    union all
    select * from {{ ref('int_rights_indicator') }}
    union all
    select * from {{ ref('int_dispute_indicator') }}
    union all
    select * from {{ ref('int_honour_indicator') }}
    union all
    select * from {{ ref('int_fund_indicator') }}
    union all
    select * from {{ ref('int_service_indicator') }}
)

select * from final
