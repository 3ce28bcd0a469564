{{ config(materialized='view', tags=['static']) }}
{# A view of the ledger: it changes with the publication and the declarations, not with a build. #}
with

final as (
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
    from {{ ref('stg_ops__share_catalogue') }}
)

select * from final
