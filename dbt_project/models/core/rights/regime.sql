{{ config(indexes=[{'columns': ['sender', 'org_code', 'regime'], 'unique': true}]) }}
with

latest as ({{ latest_register_rows('stg_rights__regime', 'rights', ['org_code', 'regime']) }}
),

final as (
    select
        latest.sender,
        latest.org_code,
        latest.regime,
        latest.reach,
        latest.established_on,
        latest.ended_on,
        latest.document_no,
        latest.last_held_on,
        latest.representatives,
        latest.frontline_representatives,
        latest.attended,
        latest.proposals,
        latest.proposals_closed,
        kind.label as regime_label,
        kind.regime_class,
        reach.label as reach_label,
        latest.delivery_name
    from latest
    left join {{ ref('regime_kind') }} as kind on latest.regime = kind.code
    left join {{ ref('regime_reach') }} as reach on latest.reach = reach.code
)

select * from final
