{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_enrolment',
    changed_on=['sender', 'enrolment_id'],
    changed_where='changed_key.is_current',
    indexes=[
        {'columns': ['sender', 'enrolment_id'], 'unique': true},
        {'columns': ['person_key']},
        {'columns': ['month']},
    ],
) }}
-- depends_on: {{ ref('int_changed_enrolment') }}
with

event as ({{ latest_events('stg_training__enrolment', 'training', ['enrolment_id'], 'int_changed_enrolment') }}
),

final as (
    select
        event.sender,
        event.enrolment_id,
        event.person_key,
        event.employer_uscc,
        event.provider_uscc,
        event.provider_name,
        event.class_no,
        event.occupation_code,
        event.skill_level,
        event.training_type,
        training_type.label as training_type_label,
        event.delivery_mode,
        delivery_mode.label as delivery_mode_label,
        event.started_on,
        event.ended_on,
        date_trunc('month', event.started_on)::date as month,
        event.planned_hours,
        event.attended_hours,
        event.result,
        result.label as result_label,
        event.score,
        event.funding_source,
        funding_source.label as funding_source_label,
        event.subsidy_amount,
        event.paid_on,
        event.delivery_name
    from event
    left join {{ ref('training_type') }} as training_type on event.training_type = training_type.code
    left join {{ ref('delivery_mode') }} as delivery_mode on event.delivery_mode = delivery_mode.code
    left join {{ ref('training_result') }} as result on event.result = result.code
    left join {{ ref('funding_source') }} as funding_source on event.funding_source = funding_source.code
)

select * from final
