{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_social_insurance_month',
    changed_on=['sender', 'payment_id'],
    changed_where='changed_key.is_current',
    indexes=[
        {'columns': ['sender', 'payment_id'], 'unique': true},
        {'columns': ['person_key', 'month']},
        {'columns': ['month', 'sender']},
        {'columns': ['delivery_name']},
    ],
) }}
-- depends_on: {{ ref('int_changed_social_insurance_month') }}
with

event as (
    {{- latest_events(
        'stg_employment__social_insurance_month', 'employment', ['payment_id'], 'int_changed_social_insurance_month'
    ) }}
),

final as (
    select
        event.sender,
        event.payment_id,
        event.person_key,
        event.insurance_kind,
        insurance_kind.label as insurance_kind_label,
        event.month,
        event.employer_uscc,
        event.employer_name,
        event.platform_code,
        platform.label as platform_label,
        event.admdvs,
        event.payment_type,
        payment_type.label as payment_type_label,
        event.base,
        event.unit_amount,
        event.person_amount,
        event.paid_on,
        event.status,
        status.label as status_label,
        event.delivery_name
    from event
    left join {{ ref('insurance_kind') }} as insurance_kind on event.insurance_kind = insurance_kind.code
    left join {{ ref('platform') }} as platform on event.platform_code = platform.code
    left join {{ ref('payment_type') }} as payment_type on event.payment_type = payment_type.code
    left join {{ ref('payment_status') }} as status on event.status = status.code
)

select * from final
