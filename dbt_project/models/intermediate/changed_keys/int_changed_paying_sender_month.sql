{# (month, sender) whose contributions may differ, and whether the sender was paying before the change. #}
{% set existing = previous('int_paying_sender_month') -%}
with

payment as (
    select
        old_month as month,
        sender
    from {{ ref('int_changed_social_insurance_month') }}
    where old_month is not null
    union
    select
        payment.month,
        payment.sender
    from {{ ref('social_insurance_month') }} as payment
    inner join {{ ref('int_changed_social_insurance_month') }} as changed_key
        on payment.sender = changed_key.sender and payment.payment_id = changed_key.payment_id
    where {{ only_senders_of('int_changed_social_insurance_month', 'payment.sender') }}
),

{% if existing is none -%}
changed_key as (
    select
        month,
        sender,
        false as was_paying
    from payment
),
{%- else -%}
changed_key as (
    select
        payment.month,
        payment.sender,
        existing.month is not null as was_paying
    from payment
    left join {{ existing }} as existing on payment.month = existing.month and payment.sender = existing.sender
    {{ carried_over(['month', 'sender', 'was_paying']) }}
),
{%- endif %}

final as (
    select
        changed_key.month,
        changed_key.sender,
        changed_key.was_paying,
        build.generation
    from changed_key
    cross join {{ ref('int_build') }} as build
)

select * from final
