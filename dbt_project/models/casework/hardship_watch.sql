{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_hardship',
    changed_on=['month', 'person_key'],
    indexes=[{'columns': ['month', 'person_key'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_changed_hardship') }}
with

settled as (
    select
        person_key,
        setl_month as month,
        sum(psn_pay) as psn_pay
    from {{ ref('settlement') }}
    where
        is_net and {{ only_changed('int_changed_hardship', ['person_key']) }}
        {%- if is_incremental() %}
        and setl_month > (select min(month) - interval '12 months' from {{ ref('int_changed_hardship') }})
        {%- endif %}
    group by person_key, setl_month
),

-- what a month adds to the sum of 12 months leaves it 12 months later
change as (
    select person_key, month, psn_pay
    from settled
    union all
    select person_key, (month + interval '12 months')::date as month, -psn_pay as psn_pay
    from settled
    {%- if is_incremental() %}
    where month + interval '12 months' <= (select max(month) from {{ ref('int_changed_hardship') }})
    {%- endif %}
),

step as (
    select
        person_key,
        month as from_month,
        lead(month, 1, 'infinity'::date) over (partition by person_key order by month) as to_month,
        sum(sum(psn_pay)) over (partition by person_key order by month) as burden_12m
    from change
    group by person_key, month
),

-- the few who reach half of the least income, before their memberships are joined
heavy as materialized (
    select * from step
    where burden_12m >= 0.5 * (select min(income) from {{ ref('int_income_month') }})
),

final as (
    select
        member.month,
        member.person_key,
        round(step.burden_12m, 2)::numeric(18, 2) as burden_12m,
        income.income::numeric(18, 2) as income,
        round(step.burden_12m / income.income, 4)::numeric(18, 4) as ratio,
        case when step.burden_12m >= income.income then 'red' else 'amber' end as level,
        case when step.burden_12m >= income.income then '红色预警' else '黄色预警' end as level_label,
        {{ month_key('member.month') }} as month_key,
        member.sender,
        member.admdvs,
        region.name as region_name,
        member.org_code
    from heavy as step
    inner join {{ ref('member_month') }} as member
        on
            step.person_key = member.person_key
            and step.from_month <= member.month
            and step.to_month > member.month
    inner join {{ ref('int_income_month') }} as income
        on member.sender = income.sender and member.month = income.month
    left join {{ ref('region') }} as region on member.admdvs = region.admdvs
    where
        step.burden_12m >= 0.5 * income.income
        and {{ only_changed('int_changed_hardship', ['month', 'person_key'], 'member') }}
)

select * from final
