{{ config(indexes=[{'columns': ['month', 'sender'], 'unique': true}]) }}
with

-- a sender has a state from its first snapshot on
sender_month as (
    select
        covered.month,
        register.sender
    from {{ ref('int_register_delivery') }} as register
    inner join {{ ref('int_month_covered') }} as covered on register.month <= covered.month
    group by covered.month, register.sender
),

duplicate as (
    select
        month,
        sender,
        count(*) as duplicate_rows
    from {{ ref('duplicate_membership') }}
    group by month, sender
),

final as (
    select
        sender_month.month,
        sender_month.sender,
        coalesce(duplicate.duplicate_rows, 0)::integer as duplicate_rows,
        {{ month_key('sender_month.month') }} as month_key,
        region.name as sender_name
    from sender_month
    left join duplicate
        on sender_month.month = duplicate.month and sender_month.sender = duplicate.sender
    left join {{ ref('region') }} as region on sender_month.sender = region.admdvs
)

select * from final
