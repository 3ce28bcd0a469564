{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_paying_sender_month',
    changed_on=['month', 'sender'],
    indexes=[{'columns': ['month', 'sender'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_paying_sender_month') }}
with

final as (
    select
        payment.month,
        payment.sender
    from {{ ref('social_insurance_month') }} as payment
    where
        {{ is_paid('payment', employer_kinds()) }}
        and {{ only_changed('int_changed_paying_sender_month', ['month', 'sender'], 'payment') }}
    group by payment.month, payment.sender
)

select * from final
