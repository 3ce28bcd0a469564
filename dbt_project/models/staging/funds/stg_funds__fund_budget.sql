with

source as (
    select * from {{ source('funds', 'funds_fund_budget') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        org_code,
        year,
        account,
        purpose,

        -- numerics
        budget,
        adjusted_budget,
        actual,

        -- dates
        as_of
    from source
)

select * from renamed
