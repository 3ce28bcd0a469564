with

source as (
    select * from {{ source('training', 'training_fund') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        employer_uscc,
        year,

        -- text and codes
        employer_name,
        admdvs,

        -- numerics
        wages_total,
        accrued,
        carried_in,
        spent,
        frontline_spent,
        trainees,
        frontline_trainees
    from source
)

select * from renamed
