with

source as (
    select * from {{ source('honours', 'honours_honour') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        honour_no,
        person_key,
        org_code,
        employer_uscc,
        occupation_code,
        contest_no,

        -- text and codes
        person_sex as sex,
        person_birth_year as birth_year,
        honour_type,
        honour_level,
        granted_by,
        document_no,
        status,

        -- numerics
        place,

        -- dates
        granted_on,
        revoked_on
    from source
)

select * from renamed
