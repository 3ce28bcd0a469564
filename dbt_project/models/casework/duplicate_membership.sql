{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_member_month',
    changed_on=['month', 'person_key'],
    indexes=[{'columns': ['month', 'sender', 'member_id'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_changed_member_month') }}
with

final as (
    select
        membership.month,
        membership.person_key,
        version.sender,
        version.member_id,
        membership.sender as kept_sender,
        membership.member_id as kept_member_id,
        version.org_code,
        version.joined_on,
        version.status_changed_on
    from {{ ref('member_month') }} as membership
    inner join {{ ref('int_member_version') }} as version
        on
            membership.person_key = version.person_key
            and membership.month >= version.valid_from
            and membership.month < version.valid_to
    where
        version.status = '1'
        and version.joined_on < membership.month + interval '1 month'
        and (version.sender, version.member_id) <> (membership.sender, membership.member_id)
        and {{ only_changed('int_changed_member_month', ['month', 'person_key'], 'membership') }}
        {%- if is_incremental() %}
        and version.valid_to > {{ first_month_of('int_changed_member_month') }}
        {%- endif %}
)

select * from final
