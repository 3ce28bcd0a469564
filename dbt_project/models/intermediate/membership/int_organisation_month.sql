{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_sender_month',
    changed_on=['sender', 'month'],
    indexes=[{'columns': ['month', 'sender', 'org_code'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_sender_month') }}
with

final as (
    select
        covered.month,
        version.sender,
        version.org_code,
        version.admdvs,
        coalesce(version.industry, 'unknown') as industry,
        coalesce(version.employer_nature, 'unknown') as employer_nature,
        version.employer_uscc,
        version.status = '1' and version.org_level = '90' as is_base,
        version.employees,
        version.has_workers_congress,
        version.has_open_affairs,
        version.has_collective_contract
    from {{ ref('int_organisation_version') }} as version
    inner join {{ ref('int_month_covered') }} as covered
        on version.valid_from <= covered.month and version.valid_to > covered.month
    where {{ only_changed('int_changed_sender_month', ['sender', 'month'], ['version.sender', 'covered.month']) }}
)

select * from final
