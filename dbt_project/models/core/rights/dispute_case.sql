{{ config(
    indexes=[{'columns': ['sender', 'case_no'], 'unique': true}, {'columns': ['person_key']}, {'columns': ['month']}],
) }}
with

event as ({{ latest_events('stg_rights__dispute_case', 'rights', ['case_no']) }}
),

final as (
    select
        event.sender,
        event.case_no,
        event.org_code,
        event.person_key,
        event.workers,
        event.employer_uscc,
        event.employer_name,
        event.admdvs,
        event.channel,
        event.dispute_type,
        event.is_new_form,
        event.procedure,
        event.supervision,
        event.legal_aid,
        event.accepted_on,
        event.closed_on,
        event.outcome,
        event.claimed_amount,
        event.recovered_amount,
        date_trunc('month', event.accepted_on)::date as month,
        event.closed_on - event.accepted_on as days,
        region.name as region_name,
        channel.label as channel_label,
        dispute_type.label as dispute_type_label,
        dispute_procedure.label as procedure_label,
        supervision.label as supervision_label,
        outcome.label as outcome_label,
        event.delivery_name
    from event
    left join {{ ref('region') }} as region on event.admdvs = region.admdvs
    left join {{ ref('dispute_channel') }} as channel on event.channel = channel.code
    left join {{ ref('dispute_type') }} as dispute_type on event.dispute_type = dispute_type.code
    left join {{ ref('dispute_procedure') }} as dispute_procedure on event.procedure = dispute_procedure.code
    left join {{ ref('supervision_document') }} as supervision on event.supervision = supervision.code
    left join {{ ref('dispute_outcome') }} as outcome on event.outcome = outcome.code
)

select * from final
