with

source as (
    select * from {{ source('ops', 'share_access') }}
),

renamed as (
    select
        name,
        version,
        login,
        day,
        date_trunc('month', day)::date as month
    from source
)

select * from renamed
