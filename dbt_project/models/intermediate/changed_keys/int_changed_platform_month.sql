{{ config(indexes=[{'columns': ['month'], 'unique': true}]) }}
{# Months of which the workers of platforms, the members among them, or the organisations of their units may differ. #}
with

final as (
    select month from {{ ref('int_changed_month') }}
    union
    select month from {{ ref('int_changed_paid_month') }}
)

select * from final
