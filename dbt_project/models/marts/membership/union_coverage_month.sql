{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_month',
    changed_on=['month'],
    skip_unchanged=true,
    indexes=[
        {'columns': ['month', 'sender', 'admdvs', 'industry', 'employer_nature'], 'unique': true},
        {'columns': ['admdvs', 'month']},
        {'columns': ['month', 'employer_nature_label', 'joined', 'admdvs']},
    ],
) }}
-- depends_on: {{ ref('int_changed_month') }}
with

base_organisation as (
    select
        month,
        sender,
        admdvs,
        industry,
        employer_nature,
        count(*) as organisations,
        coalesce(sum(employees), 0) as employees
    from {{ ref('int_organisation_month') }}
    where is_base and {{ only_changed('int_changed_month', ['month']) }}
    group by month, sender, admdvs, industry, employer_nature
),

member as (
    select
        month,
        sender,
        admdvs,
        industry,
        employer_nature,
        count(*) as members,
        count(*) filter (where is_woman) as women_members,
        count(*) filter (where is_migrant_worker) as migrant_members,
        count(*) filter (where is_new_form) as new_form_members,
        count(*) filter (where is_joined_in_month) as joined
    from {{ ref('member_month') }}
    where {{ only_changed('int_changed_month', ['month']) }}
    group by month, sender, admdvs, industry, employer_nature
),

-- a combination with only one of the two still has its row; all key columns are filled, so equality is enough
combined as (
    select
        month,
        sender,
        admdvs,
        industry,
        employer_nature,
        coalesce(base_organisation.organisations, 0) as organisations,
        coalesce(base_organisation.employees, 0) as employees,
        coalesce(member.members, 0) as members,
        coalesce(member.women_members, 0) as women_members,
        coalesce(member.migrant_members, 0) as migrant_members,
        coalesce(member.new_form_members, 0) as new_form_members,
        coalesce(member.joined, 0) as joined
    from base_organisation
    full outer join member using (month, sender, admdvs, industry, employer_nature)
),

final as (
    select
        combined.month,
        combined.sender,
        combined.admdvs,
        combined.industry,
        combined.employer_nature,
        combined.organisations::integer as organisations,
        combined.employees::bigint as employees,
        combined.members::integer as members,
        combined.women_members::integer as women_members,
        combined.migrant_members::integer as migrant_members,
        combined.new_form_members::integer as new_form_members,
        combined.joined::integer as joined,
        {{ share('combined.members', 'combined.employees') }} as joining_rate,
        {{ month_key('combined.month') }} as month_key,
        sender.name as sender_name,
        region.name as region_name,
        case when combined.industry = 'unknown' then '未知' else industry.label end as industry_label,
        case when combined.employer_nature = 'unknown' then '未知' else employer_nature.label end as employer_nature_label
    from combined
    left join {{ ref('region') }} as sender on combined.sender = sender.admdvs
    left join {{ ref('region') }} as region on combined.admdvs = region.admdvs
    left join {{ ref('industry') }} as industry on combined.industry = industry.code
    left join {{ ref('employer_nature') }} as employer_nature on combined.employer_nature = employer_nature.code
)

select * from final
