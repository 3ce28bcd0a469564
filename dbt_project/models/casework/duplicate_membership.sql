{{ config(
    materialized='incremental',
    touched='int_touched_member_month',
    touched_on=['month', 'person_key'],
    indexes=[{'columns': ['month', 'sender', 'member_id'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_touched_member_month') }}
with

final as (
    select
        kept.month,
        kept.person_key,
        version.sender,
        version.member_id,
        kept.sender as kept_sender,
        kept.member_id as kept_member_id,
        version.org_code,
        version.joined_on,
        version.status_changed_on
    from {{ ref('member_month') }} as kept
    inner join {{ ref('int_member_version') }} as version
        on
            kept.person_key = version.person_key
            and kept.month >= version.valid_from
            and kept.month < version.valid_to
    where
        version.status = '1'
        and version.joined_on < kept.month + interval '1 month'
        and (version.sender, version.member_id) <> (kept.sender, kept.member_id)
        and {{ only_touched('int_touched_member_month', ['month', 'person_key'], 'kept') }}
        {%- if is_incremental() %}
        and version.valid_to > {{ first_month_of('int_touched_member_month') }}
        {%- endif %}
)

select * from final
