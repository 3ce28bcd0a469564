with

source as (
    select * from {{ source('employment', 'employment_employment_spell') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        spell_id,
        person_key,
        employer_uscc,
        occupation_code,

        -- text and codes
        person_sex as sex,
        person_birth_year as birth_year,
        employment_form,
        employer_name,
        admdvs,
        contract_kind,
        end_reason,

        -- dates
        started_on,
        contract_to,
        ended_on,
        updt_time
    from source
)

select * from renamed
