with

source as (
    select * from {{ source('ops', 'row_warning') }}
),

renamed as (
    select
        delivery_name,
        file_no,
        path,
        line_number,
        codes
    from source
)

select * from renamed
