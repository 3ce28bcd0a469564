with

this_build as (
    select '{{ var("build") }}'::text as build
),

done as (
    select
        build,
        string_agg(delivery_id::text, ',' order by delivery_id) as delivery_ids
    from {{ source('ops', 'build_delivery') }}
    where state = 'done'
    group by build
),

final as (
    select
        this_build.build,
        md5(coalesce(done.delivery_ids, '')) as generation,
        coalesce(build.months_asked, '{}'::date[]) as months_asked
    from this_build
    left join done on this_build.build = done.build
    left join {{ source('ops', 'build') }} as build on this_build.build = build.build
)

select * from final
