with

source as (
    select * from {{ source('ops', 'build') }}
),

final as (
    select
        build,
        months_asked
    from source
    where build = '{{ build_schema() }}'
)

select * from final
