with

source as (
    select * from {{ source('medical', 'medical_person') }}
),

renamed as (
    select
        -- where the row comes from
        delivery_id,
        file_no,
        line_number,

        -- ids
        psn_no,
        person_key,

        -- attributes
        person_sex as sex,
        person_birth_year as birth_year,
        naty,
        surv_stas
    from source
)

select * from renamed
