with

changed_key as (
    select month from {{ ref('int_changed_member_month') }}
    union
    select month from {{ ref('int_changed_sender_month') }}
),

final as (
    select
        changed_key.month,
        covered.month is not null as is_covered
    from changed_key
    left join {{ ref('int_month_covered') }} as covered on changed_key.month = covered.month
)

select * from final
