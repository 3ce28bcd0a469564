with

source as (
    select * from {{ source('ops', 'rejected_row') }}
),

renamed as (
    select
        delivery_name,
        file_no,
        path,
        feed,
        line_number,
        reasons
    from source
)

select * from renamed
