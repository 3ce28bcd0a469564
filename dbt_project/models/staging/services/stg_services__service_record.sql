with

source as (
    select * from {{ source('services', 'services_service_record') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        record_id,
        person_key,
        org_code,
        scheme_code,
        site_no,

        -- text and codes
        person_sex as sex,
        person_birth_year as birth_year,
        service_type,
        admdvs,
        funding_source,
        hardship_kind,
        status,

        -- numerics
        persons,
        amount,
        in_kind,

        -- dates
        served_on
    from source
)

select * from renamed
