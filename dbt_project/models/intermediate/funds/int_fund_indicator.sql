with

budget as (
    select
        make_date(year, 12, 1) as month,
        sender,
        sum(actual) filter (where account = 'I2') as collected,
        sum(final_budget) filter (where account = 'I2') as to_collect,
        sum(actual) filter (where is_own_expenditure) as spent,
        sum(final_budget) filter (where is_own_expenditure) as to_spend,
        sum(actual) filter (where is_own_expenditure and purpose = '1') as spent_on_reform,
        sum(final_budget) filter (where is_own_expenditure and purpose = '1') as to_spend_on_reform
    from {{ ref('fund_budget') }}
    group by year, sender
),

audit as (
    select
        make_date(extract(year from issued_on)::integer, 12, 1) as month,
        sender,
        count(rectified_on) as rectified,
        count(*) as findings
    from {{ ref('audit_finding') }}
    group by extract(year from issued_on), sender
),

indicator as (
    select
        'fund_collection_rate' as indicator,
        month,
        sender,
        collected as numerator,
        to_collect as denominator
    from budget
    union all
    select
        'budget_execution_rate' as indicator,
        month,
        sender,
        spent as numerator,
        to_spend as denominator
    from budget
    union all
    select
        'reform_budget_share' as indicator,
        month,
        sender,
        to_spend_on_reform as numerator,
        to_spend as denominator
    from budget
    union all
    select
        'reform_budget_execution' as indicator,
        month,
        sender,
        spent_on_reform as numerator,
        to_spend_on_reform as denominator
    from budget
    union all
    select
        'audit_rectified_rate' as indicator,
        month,
        sender,
        rectified as numerator,
        findings as denominator
    from audit
),

final as (
    select
        indicator,
        month,
        sender,
        coalesce(numerator, 0)::numeric as numerator,
        coalesce(denominator, 0)::numeric as denominator
    from indicator
)

select * from final
