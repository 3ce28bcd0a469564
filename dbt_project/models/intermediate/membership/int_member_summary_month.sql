{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_month',
    changed_on=['month'],
) }}
-- depends_on: {{ ref('int_changed_month') }}
with

final as (
    select
        month,
        sender,
        count(*) as members,
        count(*) filter (where is_new_form) as new_form_members,
        count(*) filter (where is_skilled) as skilled_members,
        count(*) filter (where is_high_skilled) as high_skilled_members,
        count(*) filter (where is_trained_12m) as trained_members
    from {{ ref('member_month') }}
    where {{ only_changed('int_changed_month', ['month']) }}
    group by month, sender
)

select * from final
