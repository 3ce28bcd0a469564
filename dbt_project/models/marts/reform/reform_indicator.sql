{{ config(indexes=[{'columns': ['indicator', 'month', 'admdvs'], 'unique': true}, {'columns': ['month']}]) }}
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
    select 'workers_congress_rate', month, sender, with_workers_congress, organisations from organisation
    union all
    select 'open_affairs_rate', month, sender, with_open_affairs, organisations from organisation
    union all
    select 'collective_contract_rate', month, sender, with_collective_contract, organisations from organisation
    union all
    select 'new_form_share', month, sender, new_form_members, members from member
    union all
    select 'high_skilled_share', month, sender, high_skilled_members, skilled_members from member
    union all
    select 'training_reach', month, sender, trained_members, members from member
    union all
    select 'employee_insured_rate', month, sender, employee_insured, members from insurance
    union all
    select 'frontline_fund_share', month, sender, frontline_spent, spent from fund
    union all
    select 'frontline_fund_compliance', month, sender, compliant_employers, spending_employers from fund
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
