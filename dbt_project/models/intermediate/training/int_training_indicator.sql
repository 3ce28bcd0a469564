with

member as (
    select * from {{ ref('int_member_summary_month') }}
),

fund as (
    select
        make_date(year, 12, 1) as month,
        sender,
        sum(spent) as spent,
        sum(frontline_spent) as frontline_spent,
        sum(compliant_employers) as compliant_employers,
        sum(spending_employers) as spending_employers
    from {{ ref('training_fund_year') }}
    group by year, sender
),

final as (
    select
        'high_skilled_share' as indicator,
        month,
        sender,
        high_skilled_members::numeric as numerator,
        skilled_members::numeric as denominator
    from member
    union all
    select
        'training_reach' as indicator,
        month,
        sender,
        trained_members::numeric as numerator,
        members::numeric as denominator
    from member
    union all
    select
        'frontline_fund_share' as indicator,
        month,
        sender,
        frontline_spent::numeric as numerator,
        spent::numeric as denominator
    from fund
    union all
    select
        'frontline_fund_compliance' as indicator,
        month,
        sender,
        compliant_employers::numeric as numerator,
        spending_employers::numeric as denominator
    from fund
)

select * from final
