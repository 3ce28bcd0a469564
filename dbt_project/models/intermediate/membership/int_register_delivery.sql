with

delivery as (
    select
        *,
        max(register_rank) filter (where mode = 'snapshot') over (
            partition by source, sender order by register_rank
        ) as snapshot_rank
    from {{ ref('int_delivery') }}
    where source in ('{{ snapshot_sources() | join("', '") }}')
),

epoch as (
    select
        source,
        sender,
        register_rank as snapshot_rank,
        delivery_id as epoch_id,
        coalesce(lead(month) over (partition by source, sender order by register_rank), 'infinity'::date) as epoch_end
    from delivery
    where mode = 'snapshot'
),

-- deltas before the first snapshot have no epoch: they take effect once there is one
final as (
    select
        delivery.delivery_id,
        delivery.sender,
        delivery.month,
        delivery.created,
        delivery.register_rank,
        epoch.epoch_id,
        epoch.epoch_end,
        count(*) over (partition by epoch.epoch_id) = 1 as is_alone
    from delivery
    inner join epoch
        on
            delivery.source = epoch.source
            and delivery.sender = epoch.sender
            and delivery.snapshot_rank = epoch.snapshot_rank
)

select * from final
