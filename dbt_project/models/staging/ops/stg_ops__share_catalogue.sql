with

source as (
    select * from {{ source('ops', 'share_catalogue') }}
),

renamed as (
    select
        resource,
        identifier,
        label_zh,
        label_en,
        description,
        schema_name,
        subject_areas,
        subject_labels,
        provider_name,
        provider_code,
        formats,
        access,
        purposes,
        basis_kinds,
        serve,
        is_open,
        frequency,
        published_at,
        sources,
        classification,
        open_shares,
        publication
    from source
)

select * from renamed
