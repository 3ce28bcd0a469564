{# An epoch is a snapshot and the deltas up to the sender's next snapshot; its id is the snapshot's delivery. A changed
   delivery touches the epoch it falls into, which begins with the last unchanged snapshot before it, and the epochs of
   all changed snapshots in between. #}
with

changed as (
    select * from {{ ref('int_changed_delivery') }}
    where source in ('{{ snapshot_sources() | join("', '") }}')
),

unchanged as (
    select * from {{ ref('int_delivery') }}
    where source in ('{{ snapshot_sources() | join("', '") }}') and not is_changed
),

before as (
    select distinct on (changed.delivery_id)
        changed.sender,
        unchanged.delivery_id as epoch_id,
        unchanged.month
    from changed
    inner join unchanged
        on
            changed.source = unchanged.source
            and changed.sender = unchanged.sender
            and (changed.month, changed.created, changed.name collate "C")
            > (unchanged.month, unchanged.created, unchanged.name collate "C")
    where unchanged.mode = 'snapshot'
    order by changed.delivery_id asc, unchanged.register_rank desc
),

changed_key as (
    select sender, delivery_id as epoch_id, month
    from changed
    where mode = 'snapshot'
    union
    select sender, epoch_id, month
    from before
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
    from changed_key
)

select * from final
