{# (month, person_key) whose contributions may differ. #}
{{ config(indexes=[{'columns': ['month', 'person_key'], 'unique': true}, {'columns': ['person_key']}]) }}
{% set existing = previous('int_paid_month') -%}
{% set is_asked = "month = any((select months_asked from " ~ ref('int_build') ~ ")::date[])" -%}
with

final as (
    select
        old_month as month,
        old_person_key as person_key
    from {{ ref('int_changed_social_insurance_month') }}
    where old_person_key is not null
    union
    select
        payment.month,
        payment.person_key
    from {{ ref('social_insurance_month') }} as payment
    inner join {{ ref('int_changed_social_insurance_month') }} as changed_key
        on payment.sender = changed_key.sender and payment.payment_id = changed_key.payment_id
    where {{ only_senders_of('int_changed_social_insurance_month', 'payment.sender') }}
    {%- if existing is not none %}
    {%- for asked in [ref('social_insurance_month'), existing] %}
    union
    select month, person_key
    from {{ asked }}
    where {{ is_asked }}
    {%- endfor %}
    {%- endif %}
)

select * from final
