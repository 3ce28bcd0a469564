{{ config(indexes=[{'columns': ['month', 'sender', 'org_code', 'regime'], 'unique': true}]) }}
{%- set to_read %}
    select delivery_id from {{ ref('int_delivery') }}
    where source = 'rights'
{%- endset %}
with

version as (
    {{- delta_versions(
        'stg_rights__regime',
        'rights',
        ['org_code', 'regime'],
        [
            'established_on', 'ended_on', 'last_held_on', 'representatives', 'attended', 'proposals', 'proposals_closed',
        ],
        to_read,
    ) }}
),

final as (
    select
        covered.month,
        version.sender,
        version.org_code,
        version.regime,
        organisation.admdvs,
        organisation.employer_nature,
        coalesce(
            version.last_held_on between (covered.month - interval '11 months')::date and covered.last_day, false
        ) as is_held,
        version.representatives,
        version.attended,
        version.proposals,
        version.proposals_closed
    from version
    inner join {{ ref('int_month_covered') }} as covered
        on version.valid_from <= covered.month and version.valid_to > covered.month
    inner join {{ ref('int_organisation_month') }} as organisation
        on
            covered.month = organisation.month
            and version.sender = organisation.sender
            and version.org_code = organisation.org_code
    where
        organisation.is_base
        and version.established_on <= covered.last_day
        and (version.ended_on is null or version.ended_on > covered.last_day)
)

select * from final
