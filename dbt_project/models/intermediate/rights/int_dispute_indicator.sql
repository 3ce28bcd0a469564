with

province as (
    select
        month,
        sender,
        sum(cases) as cases,
        sum(closed) as closed,
        sum(settled) as settled,
        sum(closed_45d) as closed_45d
    from {{ ref('int_dispute_cell') }}
    group by month, sender
),

final as (
    select
        'dispute_settled_rate' as indicator,
        month,
        sender,
        settled::numeric as numerator,
        closed::numeric as denominator
    from province
    union all
    -- 45 days after the last case of a month lie in the second month after it
    select
        'dispute_45d_rate' as indicator,
        province.month,
        province.sender,
        province.closed_45d::numeric as numerator,
        province.cases::numeric as denominator
    from province
    inner join {{ ref('int_month_covered') }} as covered
        on covered.is_last and (province.month + interval '2 months')::date <= covered.month
)

select * from final
