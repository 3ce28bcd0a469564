{{ config(indexes=[{'columns': ['month', 'sender', 'contract_no'], 'unique': true}]) }}
with

final as (
    select
        covered.month,
        covered.last_day,
        contract.sender,
        contract.contract_no,
        contract.contract_kind,
        contract.scope,
        contract.org_code,
        contract.employer_uscc,
        contract.covered_workers,
        contract.valid_to <= covered.last_day + 90 as is_expiring
    from {{ ref('collective_contract') }} as contract
    inner join {{ ref('int_month_covered') }} as covered
        on contract.valid_from <= covered.last_day and contract.valid_to >= covered.last_day
    where
        contract.review <> '3'
        and (contract.terminated_on is null or contract.terminated_on > covered.last_day)
)

select * from final
