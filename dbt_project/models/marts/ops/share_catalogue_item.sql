{{ config(materialized='view', tags=['static']) }}
{# A view of the ledger: it changes with the publication and the declarations, not with a build. #}
with

final as (
    select
        resource,
        position,
        column_name,
        label,
        data_type,
        unit,
        code_list,
        classification,
        description
    from {{ ref('stg_ops__share_catalogue_item') }}
)

select * from final
