with

source as (
    select * from {{ source('ops', 'share_extract') }}
),

renamed as (
    select
        name,
        version,
        publication,
        rows,
        date_trunc('month', written_at at time zone 'Asia/Shanghai')::date as month
    from source
)

select * from renamed
