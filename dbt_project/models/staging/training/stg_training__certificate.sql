with

source as (
    select * from {{ source('training', 'training_certificate') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        certificate_no,
        person_key,
        occupation_code,

        -- text and codes
        person_sex as sex,
        person_birth_year as birth_year,
        occupation_name,
        skill_level,
        issuer_name,
        status,

        -- dates
        issued_on
    from source
)

select * from renamed
