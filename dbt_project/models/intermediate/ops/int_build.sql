with

done as (
    select string_agg(delivery_id::text, ',' order by delivery_id) as delivery_ids
    from {{ ref('stg_ops__build_delivery') }}
    where state = 'done'
),

final as (
    select
        md5(coalesce(done.delivery_ids, '')) as generation,
        coalesce((select months_asked from {{ ref('stg_ops__build') }}), '{}'::date[]) as months_asked
    from done
)

select * from final
