{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_month',
    changed_on=['month'],
    skip_unchanged=true,
    indexes=[{'columns': ['month', 'sender', 'admdvs', 'skill_rank'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_month') }}
with

counted as (
    select
        month,
        sender,
        admdvs,
        coalesce(skill_rank, -1) as skill_rank,
        count(*) as members
    from {{ ref('member_month') }}
    where {{ only_changed('int_changed_month', ['month']) }}
    group by month, sender, admdvs, coalesce(skill_rank, -1)
),

final as (
    select
        counted.month,
        counted.sender,
        counted.admdvs,
        counted.skill_rank::smallint as skill_rank,
        counted.members::integer as members,
        {{ month_key('counted.month') }} as month_key,
        sender.name as sender_name,
        region.name as region_name,
        coalesce(skill.label, '无等级') as skill_label,
        counted.skill_rank >= 1 as is_skilled,
        counted.skill_rank >= 3 as is_high_skilled
    from counted
    left join {{ ref('region') }} as sender on counted.sender = sender.admdvs
    left join {{ ref('region') }} as region on counted.admdvs = region.admdvs
    left join {{ ref('skill_level') }} as skill on counted.skill_rank = skill.rank
)

select * from final
