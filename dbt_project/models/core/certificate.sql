{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_certificate',
    changed_on=['sender', 'certificate_no'],
    changed_where='changed_key.is_current',
    indexes=[{'columns': ['sender', 'certificate_no'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_changed_certificate') }}
with

event as ({{ latest_events('stg_training__certificate', 'training', ['certificate_no'], 'int_changed_certificate') }}
),

final as (
    select
        event.sender,
        event.certificate_no,
        event.person_key,
        event.occupation_code,
        event.occupation_name,
        event.skill_level,
        skill.rank as skill_rank,
        event.issued_on,
        date_trunc('month', event.issued_on)::date as month,
        event.issuer_name,
        event.status,
        status.label as status_label,
        event.status = '1' and skill.rank is not null as is_counted,
        event.delivery_name
    from event
    left join {{ ref('skill_level') }} as skill on event.skill_level = skill.code
    left join {{ ref('certificate_status') }} as status on event.status = status.code
)

select * from final
