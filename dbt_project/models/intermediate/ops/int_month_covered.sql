with

span as (
    select
        min(month) as first_month,
        max(month) as last_month
    from {{ ref('int_delivery') }}
    where source = 'membership'
),

months as (
    select {{ every('month', 'first_month', 'last_month') }} as month
    from span
),

final as (
    select
        months.month,
        (months.month + interval '1 month' - interval '1 day')::date as last_day,
        (months.month + interval '1 month')::date as next_month,
        months.month = span.last_month as is_last
    from months
    cross join span
)

select * from final
