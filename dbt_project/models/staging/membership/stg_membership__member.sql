with

source as (
    select * from {{ source('membership', 'membership_member') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        person_key,
        member_id,
        org_code,

        -- person
        person_sex as sex,
        person_birth_year as birth_year,
        ethnicity,
        political_status,
        education,
        skill_level,
        employment_status,
        household_type,
        is_migrant_worker,
        new_form_type,

        -- membership
        status,
        joined_on,
        status_changed_on,
        {{ code_of_free_text('membership_member', 'change_reason') }} as change_reason
    from source
)

select * from renamed
