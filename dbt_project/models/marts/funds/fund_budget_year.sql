{{ config(indexes=[{'columns': ['year', 'sender', 'org_level', 'account', 'purpose'], 'unique': true}]) }}
with

-- an organisation has its level of December of the year; beyond the last month covered its last version stays in force
counted as (
    select
        budget.year,
        budget.sender,
        coalesce(organisation.org_level, 'unknown') as org_level,
        budget.account,
        budget.purpose,
        count(*) as organisations,
        sum(budget.budget) as budget,
        sum(budget.final_budget) as final_budget,
        sum(budget.actual) as actual,
        min(budget.as_of) as as_of
    from {{ ref('fund_budget') }} as budget
    left join {{ ref('int_organisation_version') }} as organisation
        on
            budget.sender = organisation.sender
            and budget.org_code = organisation.org_code
            and make_date(budget.year, 12, 1) >= organisation.valid_from
            and make_date(budget.year, 12, 1) < organisation.valid_to
    group by
        budget.year, budget.sender, coalesce(organisation.org_level, 'unknown'), budget.account, budget.purpose
),

final as (
    select
        counted.year,
        counted.sender,
        counted.org_level,
        counted.account,
        counted.purpose,
        counted.organisations::integer as organisations,
        round(counted.budget, 2)::numeric(18, 2) as budget,
        round(counted.final_budget, 2)::numeric(18, 2) as final_budget,
        round(counted.actual, 2)::numeric(18, 2) as actual,
        counted.as_of,
        {{ share('counted.actual', 'counted.final_budget') }} as execution_rate,
        sender.name as sender_name,
        case when counted.org_level = 'unknown' then '未知' else org_level.label end as org_level_label,
        account.label as account_label,
        purpose.label as purpose_label
    from counted
    left join {{ ref('region') }} as sender on counted.sender = sender.admdvs
    left join {{ ref('org_level') }} as org_level on counted.org_level = org_level.code
    left join {{ ref('fund_account') }} as account on counted.account = account.code
    left join {{ ref('fund_purpose') }} as purpose on counted.purpose = purpose.code
)

select * from final
