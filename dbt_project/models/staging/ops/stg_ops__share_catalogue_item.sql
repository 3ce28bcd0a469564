with

source as (
    select * from {{ source('ops', 'share_catalogue_item') }}
),

renamed as (
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
    from source
)

select * from renamed
