{{ config(
    indexes=[
        {'columns': ['sender', 'honour_no'], 'unique': true},
        {'columns': ['person_key']},
        {'columns': ['sender', 'contest_no']},
    ],
) }}
with

event as ({{ latest_events('stg_honours__honour', 'honours', ['honour_no']) }}
),

final as (
    select
        event.sender,
        event.honour_no,
        event.person_key,
        event.honour_type,
        honour_type.label as honour_type_label,
        event.honour_level,
        honour_level.label as honour_level_label,
        event.granted_on,
        event.granted_by,
        event.document_no,
        event.org_code,
        event.employer_uscc,
        event.occupation_code,
        event.contest_no,
        event.place,
        event.status,
        status.label as status_label,
        event.revoked_on,
        event.delivery_name
    from event
    left join {{ ref('honour_type') }} as honour_type on event.honour_type = honour_type.code
    left join {{ ref('honour_level') }} as honour_level on event.honour_level = honour_level.code
    left join {{ ref('honour_status') }} as status on event.status = status.code
)

select * from final
