{{ config(indexes=[{'columns': ['sender', 'finding_no'], 'unique': true}, {'columns': ['issued_on']}]) }}
with

event as ({{ latest_events('stg_funds__audit_finding', 'funds', ['finding_no']) }}
),

final as (
    select
        event.sender,
        event.finding_no,
        event.audit_no,
        event.org_code,
        event.auditor_org_code,
        event.audit_kind,
        audit_kind.label as audit_kind_label,
        event.finding_type,
        finding_type.label as finding_type_label,
        event.is_reform,
        event.issued_on,
        event.amount,
        event.due_on,
        event.rectified_on,
        event.rectified_amount,
        event.delivery_name
    from event
    left join {{ ref('audit_kind') }} as audit_kind on event.audit_kind = audit_kind.code
    left join {{ ref('finding_type') }} as finding_type on event.finding_type = finding_type.code
)

select * from final
