{# An epoch is a snapshot and the deltas up to the sender's next snapshot; its id is the snapshot's delivery. A changed
   delivery touches the epoch it falls into, which begins with the last unchanged snapshot before it, and the epochs of
   all changed snapshots in between. #}
with

changed as (
    select * from {{ ref('int_delivery_changed') }}
    where source = 'membership'
),

unchanged as (
    select * from {{ ref('int_delivery') }}
    where source = 'membership' and not is_changed
),

touched as (
    select sender, delivery_id as epoch_id, month
    from changed
    where mode = 'snapshot'
    union
    select changed.sender, before.delivery_id as epoch_id, before.month
    from changed
    cross join lateral (
        select unchanged.delivery_id, unchanged.month
        from unchanged
        where
            unchanged.sender = changed.sender
            and unchanged.mode = 'snapshot'
            and (unchanged.month, unchanged.created, unchanged.name collate "C")
            < (changed.month, changed.created, changed.name collate "C")
        order by unchanged.register_rank desc
        limit 1
    ) as before
    union
    -- months asked for: the epochs that reach them
    select register.sender, register.epoch_id, register.month
    from {{ ref('int_register_delivery') }} as register
    cross join {{ ref('int_build') }} as build
    cross join unnest(build.months_asked) as asked (month)
    where
        register.delivery_id = register.epoch_id
        and asked.month >= register.month
        and asked.month < register.epoch_end
),

final as (
    select
        epoch_id,
        sender,
        month
    from touched
)

select * from final
