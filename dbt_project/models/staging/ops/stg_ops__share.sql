with

source as (
    select * from {{ source('ops', 'share') }}
),

renamed as (
    select
        name,
        version,
        state,
        valid_until
    from source
)

select * from renamed
