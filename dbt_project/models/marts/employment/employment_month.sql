{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_employment_cell',
    changed_on=['month'],
    skip_unchanged=true,
    indexes=[{'columns': ['month', 'sender', 'admdvs'], 'unique': true}, {'columns': ['admdvs', 'month']}],
) }}
-- depends_on: {{ ref('int_changed_employment_cell') }}
with

cell as (
    select * from {{ ref('int_employment_cell') }}
    where {{ only_changed('int_changed_employment_cell', ['month']) }}
),

{{ suppress_small_cells('cell', 'members', ['month', 'sender'], 'admdvs') }},

final as (
    select
        suppressed.month,
        suppressed.sender,
        suppressed.admdvs,
        suppressed.members::integer as members,
        {{ unless_suppressed('suppressed.employed', 'integer') }} as employed,
        {{ unless_suppressed('suppressed.unit_employed', 'integer') }} as unit_employed,
        {{ unless_suppressed('suppressed.flexible_employed', 'integer') }} as flexible_employed,
        {{ unless_suppressed('suppressed.pension', 'integer') }} as pension,
        {{ unless_suppressed('suppressed.resident_pension', 'integer') }} as resident_pension,
        {{ unless_suppressed('suppressed.unemployment', 'integer') }} as unemployment,
        {{ unless_suppressed('suppressed.injury', 'integer') }} as injury,
        {{ unless_suppressed('suppressed.occupational_injury', 'integer') }} as occupational_injury,
        {{ unless_suppressed('suppressed.medical', 'integer') }} as medical,
        {{ unless_suppressed('suppressed.maternity', 'integer') }} as maternity,
        {{ unless_suppressed('suppressed.all_five', 'integer') }} as all_five,
        {{ unless_suppressed('suppressed.without_any', 'integer') }} as none,
        {{ unless_suppressed(share('suppressed.all_five', 'suppressed.members'), 'numeric(18, 6)') }} as all_five_rate,
        suppressed.is_suppressed,
        {{ month_key('suppressed.month') }} as month_key,
        sender.name as sender_name,
        region.name as region_name
    from suppressed
    left join {{ ref('region') }} as sender on suppressed.sender = sender.admdvs
    left join {{ ref('region') }} as region on suppressed.admdvs = region.admdvs
)

select * from final
