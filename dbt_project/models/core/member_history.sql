{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_history',
    changed_match="target.sender = changed_key.sender and coalesce(target.valid_to, 'infinity') >= changed_key.from_month",
    indexes=[{'columns': ['sender', 'member_id', 'valid_from'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_changed_history') }}
with

{{ register_islands('int_member_version', 'member_id') }},

final as (
    select
        island.sender,
        island.member_id,
        {{ history_start('member_id') }} as valid_from,
        nullif(island.valid_to, 'infinity') as valid_to,
        island.valid_to = 'infinity' as is_current,
        version.person_key,
        version.org_code,
        version.status,
        status.label as status_label,
        version.joined_on,
        version.status_changed_on,
        version.change_reason,
        version.ethnicity,
        version.political_status,
        version.education,
        version.skill_level,
        version.employment_status,
        version.household_type,
        version.is_migrant_worker,
        version.new_form_type,
        delivery.name as delivery_name,
        reason.label as change_reason_label
    from island
    inner join {{ ref('int_member_version') }} as version
        on
            island.sender = version.sender
            and island.member_id = version.member_id
            and island.version_from = version.valid_from
    left join {{ ref('int_delivery') }} as delivery on version.delivery_id = delivery.delivery_id
    left join {{ ref('member_status') }} as status on version.status = status.code
    left join {{ ref('member_change_reason') }} as reason on version.change_reason = reason.code
)

select * from final
