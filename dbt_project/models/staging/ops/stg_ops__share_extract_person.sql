with

source as (
    select * from {{ source('ops', 'share_extract_person') }}
),

renamed as (
    select
        name,
        version,
        publication,
        person_key
    from source
)

select * from renamed
