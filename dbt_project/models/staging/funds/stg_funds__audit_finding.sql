with

source as (
    select * from {{ source('funds', 'funds_audit_finding') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        finding_no,
        audit_no,
        org_code,
        auditor_org_code,

        -- text and codes
        audit_kind,
        finding_type,

        -- flags
        is_reform,

        -- numerics
        amount,
        rectified_amount,

        -- dates
        issued_on,
        due_on,
        rectified_on
    from source
)

select * from renamed
