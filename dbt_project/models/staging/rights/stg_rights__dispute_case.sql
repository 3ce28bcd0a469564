with

source as (
    select * from {{ source('rights', 'rights_dispute_case') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        case_no,
        org_code,
        person_key,
        employer_uscc,

        -- text and codes
        person_sex as sex,
        person_birth_year as birth_year,
        employer_name,
        admdvs,
        channel,
        dispute_type,
        procedure,
        supervision,
        outcome,

        -- flags
        is_new_form,
        legal_aid,

        -- numerics
        workers,
        claimed_amount,
        recovered_amount,

        -- dates
        accepted_on,
        closed_on
    from source
)

select * from renamed
