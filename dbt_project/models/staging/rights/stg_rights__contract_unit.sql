with

source as (
    select * from {{ source('rights', 'rights_contract_unit') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        contract_no,
        employer_uscc,
        org_code,

        -- text and codes
        employer_name,

        -- numerics
        workers,

        -- dates
        left_on
    from source
)

select * from renamed
