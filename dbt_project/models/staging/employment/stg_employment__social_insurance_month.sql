with

source as (
    select * from {{ source('employment', 'employment_social_insurance_month') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        payment_id,
        person_key,
        employer_uscc,

        -- text and codes
        person_sex as sex,
        person_birth_year as birth_year,
        insurance_kind,
        employer_name,
        platform_code,
        admdvs,
        payment_type,
        status,

        -- numerics
        base,
        unit_amount,
        person_amount,

        -- dates
        month,
        paid_on
    from source
)

select * from renamed
