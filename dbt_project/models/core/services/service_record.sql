{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_service_record',
    changed_on=['sender', 'record_id'],
    changed_where='changed_key.is_current',
    indexes=[
        {'columns': ['sender', 'record_id'], 'unique': true},
        {'columns': ['person_key']},
        {'columns': ['month', 'sender']},
    ],
) }}
-- depends_on: {{ ref('int_changed_service_record') }}
with

event as ({{ latest_events('stg_services__service_record', 'services', ['record_id'], 'int_changed_service_record') }}
),

final as (
    select
        event.sender,
        event.record_id,
        event.person_key,
        event.service_type,
        event.served_on,
        event.org_code,
        event.admdvs,
        event.persons,
        event.amount,
        event.in_kind,
        event.funding_source,
        event.hardship_kind,
        event.scheme_code,
        event.site_no,
        event.status,
        date_trunc('month', event.served_on)::date as month,
        service_type.service_group,
        event.status = '1' as is_valid,
        service_type.label as service_type_label,
        funding_source.label as funding_source_label,
        hardship_kind.label as hardship_kind_label,
        status.label as status_label,
        event.delivery_name
    from event
    left join {{ ref('service_type') }} as service_type on event.service_type = service_type.code
    left join {{ ref('service_funding_source') }} as funding_source on event.funding_source = funding_source.code
    left join {{ ref('hardship_kind') }} as hardship_kind on event.hardship_kind = hardship_kind.code
    left join {{ ref('service_status') }} as status on event.status = status.code
)

select * from final
