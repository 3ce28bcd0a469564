with

source as (
    select * from {{ source('ops', 'delivery_file') }}
),

renamed as (
    select
        delivery_id,
        delivery_name,
        file_no,
        path,
        feed,
        rows_read,
        rows_loaded,
        rows_rejected
    from source
)

select * from renamed
