{{ config(
    leave_same=true,
    indexes=[{'columns': ['indicator', 'month', 'admdvs'], 'unique': true}, {'columns': ['month']}],
) }}
{# One province's numerators and denominators; the country is their sum. #}
with

member as (
    select * from {{ ref('int_member_summary_month') }}
),

organisation as (
    select * from {{ ref('int_organisation_summary_month') }}
),

insurance as (
    select
        month,
        sender,
        sum(members) as members,
        sum(employee_insured) as employee_insured
    from {{ ref('insurance_coverage_month') }}
    group by month, sender
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

province as (
    select
        'joining_rate' as indicator,
        month,
        sender as admdvs,
        coalesce(member.members, 0) as numerator,
        coalesce(organisation.employees, 0) as denominator
    from member
    full outer join organisation using (month, sender)
    union all
    select
        'workers_congress_rate' as indicator,
        month,
        sender as admdvs,
        with_workers_congress as numerator,
        organisations as denominator
    from organisation
    union all
    select
        'open_affairs_rate' as indicator,
        month,
        sender as admdvs,
        with_open_affairs as numerator,
        organisations as denominator
    from organisation
    union all
    select
        'collective_contract_rate' as indicator,
        month,
        sender as admdvs,
        with_collective_contract as numerator,
        organisations as denominator
    from organisation
    union all
    select
        'new_form_share' as indicator,
        month,
        sender as admdvs,
        new_form_members as numerator,
        members as denominator
    from member
    union all
    select
        'high_skilled_share' as indicator,
        month,
        sender as admdvs,
        high_skilled_members as numerator,
        skilled_members as denominator
    from member
    union all
    select
        'training_reach' as indicator,
        month,
        sender as admdvs,
        trained_members as numerator,
        members as denominator
    from member
    union all
    select
        'employee_insured_rate' as indicator,
        month,
        sender as admdvs,
        employee_insured as numerator,
        members as denominator
    from insurance
    union all
    select
        'frontline_fund_share' as indicator,
        month,
        sender as admdvs,
        frontline_spent as numerator,
        spent as denominator
    from fund
    union all
    select
        'frontline_fund_compliance' as indicator,
        month,
        sender as admdvs,
        compliant_employers as numerator,
        spending_employers as denominator
    from fund
),

country as (
    select
        indicator,
        month,
        '100000' as admdvs,
        sum(numerator) as numerator,
        sum(denominator) as denominator
    from province
    group by indicator, month
),

together as (
    select * from province
    union all
    select * from country
),

final as (
    select
        together.indicator,
        together.month,
        together.admdvs,
        round(together.numerator, 2)::numeric(18, 2) as numerator,
        round(together.denominator, 2)::numeric(18, 2) as denominator,
        {{ share('together.numerator', 'together.denominator') }} as value,
        {{ month_key('together.month') }} as month_key,
        label.label as indicator_label,
        region.name as region_name
    from together
    left join {{ ref('reform_indicator_label') }} as label on together.indicator = label.code
    left join {{ ref('region') }} as region on together.admdvs = region.admdvs
    where not (together.numerator = 0 and together.denominator = 0)
)

select * from final
