with

source as (
    select * from {{ source('medical', 'medical_insurance') }}
),

renamed as (
    select
        -- where the row comes from
        delivery_id,
        file_no,
        line_number,

        -- ids
        psn_insu_rlts_id,
        psn_no,
        emp_uscc,

        -- attributes
        insutype,
        psn_type,
        psn_insu_stas,
        insu_admdvs,

        -- dates
        crt_insu_date,
        paus_insu_date
    from source
)

select * from renamed
