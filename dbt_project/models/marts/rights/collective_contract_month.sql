{{ config(indexes=[{'columns': ['month', 'sender', 'contract_kind'], 'unique': true}]) }}
with

cell as (
    select * from {{ ref('int_collective_contract_cell') }}
),

final as (
    select
        cell.month,
        cell.sender,
        cell.contract_kind,
        cell.contracts::integer as contracts,
        cell.regional_contracts::integer as regional_contracts,
        cell.industry_contracts::integer as industry_contracts,
        cell.enterprises::integer as enterprises,
        cell.workers::bigint as workers,
        cell.unlisted_contracts::integer as unlisted_contracts,
        cell.unlisted_workers::bigint as unlisted_workers,
        cell.expiring::integer as expiring,
        cell.covered_organisations::integer as covered_organisations,
        cell.covered_employees::bigint as covered_employees,
        cell.organisations::integer as organisations,
        cell.employees::bigint as employees,
        {{ share('cell.covered_organisations', 'cell.organisations') }} as coverage_rate,
        {{ month_key('cell.month') }} as month_key,
        sender.name as sender_name,
        case when cell.contract_kind = 'all' then '全部' else kind.label end as contract_kind_label
    from cell
    left join {{ ref('region') }} as sender on cell.sender = sender.admdvs
    left join {{ ref('collective_contract_kind') }} as kind on cell.contract_kind = kind.code
)

select * from final
