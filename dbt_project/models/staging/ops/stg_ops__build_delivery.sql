with

source as (
    select * from {{ source('ops', 'build_delivery') }}
),

final as (
    select
        delivery_id,
        state,
        name,
        source,
        sender,
        month,
        mode,
        created
    from source
    where build = '{{ var("build") }}'
)

select * from final
