{#
What: every dispute case is in exactly one cell; the rows of each of the forms 1, 21 and 22 add up to the sender's base
organisations; the contracts of all kinds are those in force.
When: a case, an organisation or a contract was lost or doubled on the way to its figure.
How to resolve: build the schema anew (dbt build --full-refresh), and report the month and sender that the message names.
#}
with

dispute as (
    select
        'Cases' as thing,
        month,
        sender,
        count(*) as expected
    from {{ ref('dispute_case') }}
    group by month, sender
),

dispute_counted as (
    select
        month,
        sender,
        sum(cases) as found
    from {{ ref('int_dispute_cell') }}
    group by month, sender
),

organisation as (
    select
        'Base organisations of the form ' || kind.code as thing,
        summary.month,
        summary.sender,
        kind.code as regime,
        summary.organisations as expected
    from {{ ref('int_organisation_summary_month') }} as summary
    inner join {{ ref('regime_kind') }} as kind on kind.regime_class in ('1', '2')
),

organisation_counted as (
    select
        month,
        sender,
        regime,
        sum(organisations) as found
    from {{ ref('democratic_management_month') }}
    group by month, sender, regime
),

contract as (
    select
        'Contracts' as thing,
        month,
        sender,
        count(*) as expected
    from {{ ref('int_contract_month') }}
    group by month, sender
),

compared as (
    select
        dispute.thing,
        dispute.month,
        dispute.sender,
        dispute.expected,
        dispute_counted.found
    from dispute
    left join dispute_counted on dispute.month = dispute_counted.month and dispute.sender = dispute_counted.sender
    union all
    select
        organisation.thing,
        organisation.month,
        organisation.sender,
        organisation.expected,
        organisation_counted.found
    from organisation
    left join organisation_counted
        on
            organisation.month = organisation_counted.month
            and organisation.sender = organisation_counted.sender
            and organisation.regime = organisation_counted.regime
    union all
    select
        contract.thing,
        contract.month,
        contract.sender,
        contract.expected,
        published.contracts as found
    from contract
    left join {{ ref('collective_contract_month') }} as published
        on
            contract.month = published.month
            and contract.sender = published.sender
            and published.contract_kind = 'all'
)

select format('%s of %s in %s: %s, counted %s.', thing, sender, month, expected, found) as audit_message
from compared
where expected is distinct from found
