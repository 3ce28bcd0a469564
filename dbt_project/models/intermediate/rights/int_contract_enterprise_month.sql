{{ config(indexes=[{'columns': ['month', 'sender', 'contract_no', 'employer_uscc'], 'unique': true}]) }}
with

-- units that have not left
unit as (
    select
        contract.month,
        contract.sender,
        contract.contract_no,
        contract.contract_kind,
        unit.employer_uscc,
        unit.org_code as unit_org_code,
        unit.workers
    from {{ ref('int_contract_month') }} as contract
    inner join {{ ref('contract_unit') }} as unit
        on contract.sender = unit.sender and contract.contract_no = unit.contract_no
    where unit.left_on is null or unit.left_on > contract.last_day
),

-- a contract of one employer needs no list of units
alone as (
    select
        contract.month,
        contract.sender,
        contract.contract_no,
        contract.contract_kind,
        coalesce(contract.employer_uscc, organisation.employer_uscc) as employer_uscc,
        null::text as unit_org_code,
        contract.covered_workers as workers
    from {{ ref('int_contract_month') }} as contract
    left join {{ ref('int_organisation_month') }} as organisation
        on
            contract.month = organisation.month
            and contract.sender = organisation.sender
            and contract.org_code = organisation.org_code
    left join unit
        on
            contract.month = unit.month
            and contract.sender = unit.sender
            and contract.contract_no = unit.contract_no
    where contract.scope = '1' and unit.contract_no is null
),

final as (
    select * from unit
    union all
    select * from alone
    where employer_uscc is not null
)

select * from final
