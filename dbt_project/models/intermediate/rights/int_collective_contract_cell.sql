{{ config(indexes=[{'columns': ['month', 'sender', 'contract_kind'], 'unique': true}]) }}
with

listed as (
    select distinct
        month,
        sender,
        contract_no
    from {{ ref('int_contract_enterprise_month') }}
),

contract as (
    select
        contract.month,
        contract.sender,
        contract.contract_kind,
        contract.scope,
        contract.covered_workers,
        contract.is_expiring,
        contract.scope in ('2', '3') and listed.contract_no is null as is_unlisted
    from {{ ref('int_contract_month') }} as contract
    left join listed
        on
            contract.month = listed.month
            and contract.sender = listed.sender
            and contract.contract_no = listed.contract_no
),

contract_of_set as (
    select * from contract
    union all
    select
        month,
        sender,
        'all' as contract_kind,
        scope,
        covered_workers,
        is_expiring,
        is_unlisted
    from contract
),

counted as (
    select
        month,
        sender,
        contract_kind,
        count(*) as contracts,
        count(*) filter (where scope = '2') as regional_contracts,
        count(*) filter (where scope = '3') as industry_contracts,
        count(*) filter (where is_unlisted) as unlisted_contracts,
        coalesce(sum(covered_workers) filter (where is_unlisted), 0) as unlisted_workers,
        count(*) filter (where is_expiring) as expiring
    from contract_of_set
    group by month, sender, contract_kind
),

enterprise_of_set as (
    select
        month,
        sender,
        contract_kind,
        employer_uscc,
        workers
    from {{ ref('int_contract_enterprise_month') }}
    union all
    select
        month,
        sender,
        'all' as contract_kind,
        employer_uscc,
        workers
    from {{ ref('int_contract_enterprise_month') }}
),

-- each enterprise once, with the greatest number of workers that any contract of the set gives
distinct_enterprise as (
    select
        month,
        sender,
        contract_kind,
        employer_uscc,
        max(workers) as workers
    from enterprise_of_set
    group by month, sender, contract_kind, employer_uscc
),

enterprise as (
    select
        month,
        sender,
        contract_kind,
        count(*) as enterprises,
        coalesce(sum(workers), 0) as workers
    from distinct_enterprise
    group by month, sender, contract_kind
),

covered as (
    select
        month,
        sender,
        contract_kind,
        count(*) as covered_organisations,
        sum(employees) as covered_employees
    from {{ ref('int_contract_coverage_month') }}
    group by month, sender, contract_kind
),

final as (
    select
        counted.*,
        coalesce(enterprise.enterprises, 0) as enterprises,
        coalesce(enterprise.workers, 0) as workers,
        coalesce(covered.covered_organisations, 0) as covered_organisations,
        coalesce(covered.covered_employees, 0) as covered_employees,
        coalesce(organisation.organisations, 0) as organisations,
        coalesce(organisation.employees, 0) as employees
    from counted
    left join enterprise
        on
            counted.month = enterprise.month
            and counted.sender = enterprise.sender
            and counted.contract_kind = enterprise.contract_kind
    left join covered
        on
            counted.month = covered.month
            and counted.sender = covered.sender
            and counted.contract_kind = covered.contract_kind
    left join {{ ref('int_organisation_summary_month') }} as organisation
        on counted.month = organisation.month and counted.sender = organisation.sender
)

select * from final
