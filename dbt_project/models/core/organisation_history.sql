{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_history',
    changed_match="target.sender = changed_key.sender and coalesce(target.valid_to, 'infinity') >= changed_key.from_month",
    indexes=[{'columns': ['sender', 'org_code', 'valid_from'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_history') }}
with

{{ register_islands('int_organisation_version', 'org_code') }},

final as (
    select
        island.sender,
        island.org_code,
        {{ history_start('org_code') }} as valid_from,
        nullif(island.valid_to, 'infinity') as valid_to,
        island.valid_to = 'infinity' as is_current,
        version.org_name,
        version.union_uscc,
        version.parent_org_code,
        version.org_level,
        version.org_type,
        version.admdvs,
        version.employer_uscc,
        version.employer_name,
        version.employer_nature,
        version.industry,
        version.founded_on,
        version.status,
        version.employees,
        version.women_employees,
        version.migrant_employees,
        version.covered_units,
        version.has_workers_congress,
        version.has_open_affairs,
        version.has_collective_contract,
        delivery.name as delivery_name
    from island
    inner join {{ ref('int_organisation_version') }} as version
        on
            island.sender = version.sender
            and island.org_code = version.org_code
            and island.version_from = version.valid_from
    left join {{ ref('int_delivery') }} as delivery on version.delivery_id = delivery.delivery_id
)

select * from final
