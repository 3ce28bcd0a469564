{{ refuse_published() -}}
with

source as (
    select * from {{ source('ops', 'build_delivery') }}
),

final as (
    select
        delivery_id,
        state,
        -- the collation of the tables that are built: of another one, their indexes would be of no use in a join
        name collate "default" as name,
        source,
        sender collate "default" as sender,
        month,
        mode,
        created
    from source
    where build = '{{ build_schema() }}'
)

select * from final
