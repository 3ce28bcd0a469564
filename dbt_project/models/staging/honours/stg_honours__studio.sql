with

source as (
    select * from {{ source('honours', 'honours_studio') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        studio_no,
        person_key,
        org_code,
        employer_uscc,
        occupation_code,
        alliance_no,

        -- text and codes
        person_sex as sex,
        person_birth_year as birth_year,
        studio_kind,
        studio_level,
        admdvs,
        industry,
        status,
        alliance_name,

        -- numerics
        members,
        projects,
        achievements,
        patents,
        trained,
        funded_amount,

        -- dates
        named_on,
        status_changed_on
    from source
)

select * from renamed
