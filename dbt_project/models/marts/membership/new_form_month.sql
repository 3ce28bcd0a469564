{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_month',
    changed_on=['month'],
    skip_unchanged=true,
    indexes=[
        {'columns': ['month', 'sender', 'admdvs', 'new_form_type'], 'unique': true},
        {'columns': ['admdvs', 'month']},
    ],
) }}
-- depends_on: {{ ref('int_changed_month') }}
with

member as (
    select
        month,
        sender,
        admdvs,
        new_form_type,
        count(*) as members,
        count(*) filter (where is_woman) as women_members,
        count(*) filter (where is_joined_in_month) as joined
    from {{ ref('member_month') }}
    where is_new_form and {{ only_changed('int_changed_month', ['month']) }}
    group by month, sender, admdvs, new_form_type
),

final as (
    select
        member.month,
        member.sender,
        member.admdvs,
        member.new_form_type,
        member.members::integer as members,
        member.women_members::integer as women_members,
        member.joined::integer as joined,
        {{ month_key('member.month') }} as month_key,
        sender.name as sender_name,
        region.name as region_name,
        new_form_type.label as new_form_type_label
    from member
    left join {{ ref('region') }} as sender on member.sender = sender.admdvs
    left join {{ ref('region') }} as region on member.admdvs = region.admdvs
    left join {{ ref('new_form_type') }} as new_form_type on member.new_form_type = new_form_type.code
)

select * from final
