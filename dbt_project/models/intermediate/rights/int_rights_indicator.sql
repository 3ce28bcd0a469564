with

organisation as (
    select * from {{ ref('int_organisation_summary_month') }}
),

listed as (
    select
        month,
        sender,
        org_code,
        bool_or(regime = '1') as has_congress,
        bool_or(regime = '1' and is_held) as has_held_congress,
        bool_or(regime = '21') as has_open_affairs,
        bool_or(regime = '22') as has_worker_directors
    from {{ ref('int_regime_month') }}
    group by month, sender, org_code
),

regime as (
    select
        month,
        sender,
        count(*) filter (where has_congress) as with_congress,
        count(*) filter (where has_held_congress) as with_held_congress,
        count(*) filter (where has_open_affairs) as with_open_affairs,
        count(*) filter (where has_congress and has_open_affairs and has_worker_directors) as with_all
    from listed
    group by month, sender
),

province as (
    select
        organisation.month,
        organisation.sender,
        organisation.organisations,
        organisation.employees,
        coalesce(regime.with_congress, 0) as with_congress,
        coalesce(regime.with_held_congress, 0) as with_held_congress,
        coalesce(regime.with_open_affairs, 0) as with_open_affairs,
        coalesce(regime.with_all, 0) as with_all,
        coalesce(every_kind.covered_organisations, 0) as covered_organisations,
        coalesce(every_kind.covered_employees, 0) as covered_employees,
        coalesce(wage.covered_organisations, 0) as covered_by_wage_contract
    from organisation
    left join regime on organisation.month = regime.month and organisation.sender = regime.sender
    left join {{ ref('int_collective_contract_cell') }} as every_kind
        on
            organisation.month = every_kind.month
            and organisation.sender = every_kind.sender
            and every_kind.contract_kind = 'all'
    left join {{ ref('int_collective_contract_cell') }} as wage
        on
            organisation.month = wage.month
            and organisation.sender = wage.sender
            and wage.contract_kind = '2'
),

{% set rates = [
    ('congress_listed_rate', 'with_congress', 'organisations'),
    ('congress_held_rate', 'with_held_congress', 'with_congress'),
    ('open_affairs_listed_rate', 'with_open_affairs', 'organisations'),
    ('regime_complete_rate', 'with_all', 'organisations'),
    ('contract_coverage_rate', 'covered_organisations', 'organisations'),
    ('contract_employee_rate', 'covered_employees', 'employees'),
    ('wage_contract_rate', 'covered_by_wage_contract', 'organisations'),
] -%}
final as (
    {% for indicator, numerator, denominator in rates -%}
    select
        '{{ indicator }}' as indicator,
        month,
        sender,
        {{ numerator }}::numeric as numerator,
        {{ denominator }}::numeric as denominator
    from province
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select * from final
