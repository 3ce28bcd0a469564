{{ config(indexes=[{'columns': ['sender', 'contract_no'], 'unique': true}]) }}
with

event as ({{ latest_events('stg_rights__collective_contract', 'rights', ['contract_no']) }}
),

final as (
    select
        event.sender,
        event.contract_no,
        event.org_code,
        event.contract_kind,
        event.scope,
        event.employer_uscc,
        event.admdvs,
        event.industry,
        event.passed_on,
        event.signed_on,
        event.submitted_on,
        event.review,
        event.valid_from,
        event.valid_to,
        event.terminated_on,
        event.covered_units,
        event.covered_workers,
        event.covered_women,
        event.wage_adjustment,
        kind.label as contract_kind_label,
        scope.label as scope_label,
        region.name as region_name,
        industry.label as industry_label,
        review.label as review_label,
        event.delivery_name
    from event
    left join {{ ref('collective_contract_kind') }} as kind on event.contract_kind = kind.code
    left join {{ ref('collective_contract_scope') }} as scope on event.scope = scope.code
    left join {{ ref('region') }} as region on event.admdvs = region.admdvs
    left join {{ ref('industry') }} as industry on event.industry = industry.code
    left join {{ ref('contract_review') }} as review on event.review = review.code
)

select * from final
