{{ config(indexes=[{'columns': ['month', 'sender', 'contract_kind', 'org_code'], 'unique': true}]) }}
with

covered as (
    select
        month,
        sender,
        contract_kind,
        org_code
    from {{ ref('int_contract_month') }}
    where scope = '1'
    union
    select
        month,
        sender,
        contract_kind,
        unit_org_code as org_code
    from {{ ref('int_contract_enterprise_month') }}
    where unit_org_code is not null
    union
    select
        enterprise.month,
        enterprise.sender,
        enterprise.contract_kind,
        organisation.org_code
    from {{ ref('int_contract_enterprise_month') }} as enterprise
    inner join {{ ref('int_organisation_month') }} as organisation
        on
            enterprise.month = organisation.month
            and enterprise.sender = organisation.sender
            and enterprise.employer_uscc = organisation.employer_uscc
),

of_each_set as (
    select * from covered
    union
    select
        month,
        sender,
        'all' as contract_kind,
        org_code
    from covered
),

final as (
    select
        of_each_set.month,
        of_each_set.sender,
        of_each_set.contract_kind,
        of_each_set.org_code,
        coalesce(organisation.employees, 0) as employees
    from of_each_set
    inner join {{ ref('int_organisation_month') }} as organisation
        on
            of_each_set.month = organisation.month
            and of_each_set.sender = organisation.sender
            and of_each_set.org_code = organisation.org_code
    where organisation.is_base
)

select * from final
