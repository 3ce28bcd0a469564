with

touched as (
    select month from {{ ref('int_touched_member_month') }}
    union
    select month from {{ ref('int_touched_sender_month') }}
),

final as (
    select
        touched.month,
        covered.month is not null as is_covered
    from touched
    left join {{ ref('int_month_covered') }} as covered on touched.month = covered.month
)

select * from final
