with

delivery as (
    select * from {{ ref('stg_ops__build_delivery') }}
    where state = 'input'
),

final as (
    select
        delivery.delivery_id,
        delivery.name,
        delivery.source,
        delivery.sender,
        delivery.month,
        delivery.mode,
        delivery.created,
        -- events: a later delivery replaces an earlier one, the period plays no part
        row_number() over (order by delivery.created, delivery.name collate "C") as event_rank,
        -- registers: within one source and sender
        row_number() over (
            partition by delivery.source, delivery.sender
            order by delivery.month, delivery.created, delivery.name collate "C"
        ) as register_rank,
        changed.delivery_id is not null as is_changed
    from delivery
    left join {{ ref('int_changed_delivery') }} as changed on delivery.delivery_id = changed.delivery_id
)

select * from final
