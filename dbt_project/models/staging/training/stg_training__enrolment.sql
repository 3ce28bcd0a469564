with

source as (
    select * from {{ source('training', 'training_enrolment') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        enrolment_id,
        person_key,
        employer_uscc,
        provider_uscc,
        class_no,
        occupation_code,

        -- text and codes
        person_sex as sex,
        person_birth_year as birth_year,
        provider_name,
        skill_level,
        training_type,
        delivery_mode,
        result,
        funding_source,

        -- numerics
        planned_hours,
        attended_hours,
        score,
        subsidy_amount,

        -- dates
        started_on,
        ended_on,
        paid_on
    from source
)

select * from renamed
