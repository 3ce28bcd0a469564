{{ config(
    indexes=[{'columns': ['month', 'sender', 'platform_code'], 'unique': true}],
) }}
with

cell as (
    select cell.*
    from {{ ref('int_platform_cell') }} as cell
    inner join {{ ref('int_month_covered') }} as covered on cell.month = covered.month
),

{{ suppress_small_cells('cell', 'workers', ['month', 'sender'], 'platform_code', total='all') }},

final as (
    select
        suppressed.month,
        suppressed.sender,
        suppressed.platform_code,
        {{ unless_suppressed('suppressed.workers', 'integer') }} as workers,
        {{ unless_suppressed('suppressed.members', 'integer') }} as members,
        {{ unless_suppressed('suppressed.units', 'integer') }} as units,
        {{ unless_suppressed('suppressed.units_with_union', 'integer') }} as units_with_union,
        {{ unless_suppressed(share('suppressed.members', 'suppressed.workers'), 'numeric(18, 6)') }} as joining_rate,
        suppressed.is_suppressed,
        {{ month_key('suppressed.month') }} as month_key,
        sender.name as sender_name,
        case suppressed.platform_code
            when 'all' then '全部'
            when 'unknown' then '未知'
            else platform.label
        end as platform_label
    from suppressed
    left join {{ ref('region') }} as sender on suppressed.sender = sender.admdvs
    left join {{ ref('platform') }} as platform on suppressed.platform_code = platform.code
)

select * from final
