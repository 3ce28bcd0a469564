{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_paid_month',
    changed_on=['month', 'person_key'],
    skip_unchanged=true,
    indexes=[{'columns': ['month', 'person_key'], 'unique': true}, {'columns': ['person_key', 'month']}],
) }}
-- depends_on: {{ ref('int_changed_paid_month') }}
with

final as (
    select
        payment.month,
        payment.person_key,
        bool_or({{ is_paid('payment', pension_kinds()) }}) as is_pension,
        bool_or({{ is_paid('payment', ['170']) }}) as has_resident_pension,
        bool_or({{ is_paid('payment', ['210']) }}) as is_unemployment,
        bool_or({{ is_paid('payment', ['410']) }}) as is_injury,
        bool_or({{ is_paid('payment', ['510']) }}) as has_maternity,
        bool_or({{ is_paid('payment', ['900']) }}) as is_occupational_injury,
        bool_or({{ is_paid('payment', employer_kinds()) }}) as is_employer_paid
    from {{ ref('social_insurance_month') }} as payment
    where
        {{ is_paid('payment', counted_kinds()) }}
        and {{ only_changed('int_changed_paid_month', ['month', 'person_key'], 'payment') }}
    group by payment.month, payment.person_key
    -- in the order of months, because most queries read one of them
    order by payment.month, payment.person_key
)

select * from final
