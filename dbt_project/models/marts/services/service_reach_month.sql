{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_service_reach_month',
    changed_on=['month'],
    skip_unchanged=true,
    indexes=[
        {'columns': ['month', 'sender', 'admdvs', 'service_group'], 'unique': true},
        {'columns': ['admdvs', 'month']},
    ],
) }}
-- depends_on: {{ ref('int_changed_service_reach_month') }}
with

cell as (
    select * from {{ ref('int_service_reach') }}
    where {{ only_changed('int_changed_service_reach_month', ['month']) }}
),

{{ suppress_small_cells('cell', 'reached', ['month', 'sender', 'admdvs'], 'service_group', total='any') }},

final as (
    select
        suppressed.month,
        suppressed.sender,
        suppressed.admdvs,
        suppressed.service_group,
        suppressed.members::integer as members,
        {{ unless_suppressed('suppressed.reached', 'integer') }} as reached,
        {{ unless_suppressed(share('suppressed.reached', 'suppressed.members'), 'numeric(18, 6)') }} as reach_rate,
        suppressed.is_suppressed,
        {{ month_key('suppressed.month') }} as month_key,
        sender.name as sender_name,
        region.name as region_name,
        {{ service_group_label('suppressed.service_group') }} as service_group_label
    from suppressed
    left join {{ ref('region') }} as sender on suppressed.sender = sender.admdvs
    left join {{ ref('region') }} as region on suppressed.admdvs = region.admdvs
)

select * from final
