with

final as (
    select
        sender,
        min(month) as from_month
    from {{ ref('int_changed_epoch') }}
    group by sender
)

select * from final
