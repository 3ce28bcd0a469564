{{ config(
    indexes=[
        {'columns': ['month', 'sender', 'admdvs', 'dispute_type'], 'unique': true},
        {'columns': ['admdvs', 'month']},
    ],
) }}
with

cell as (
    select
        *,
        {{ share('settled', 'closed') }} as settled_rate
    from {{ ref('int_dispute_cell') }}
),

{{ suppress_small_cells('cell', 'persons', ['month', 'sender', 'admdvs'], 'dispute_type') }},

final as (
    select
        suppressed.month,
        suppressed.sender,
        suppressed.admdvs,
        suppressed.dispute_type,
        {{ unless_suppressed('suppressed.persons', 'integer') }} as persons,
        {{ unless_suppressed('suppressed.cases', 'integer') }} as cases,
        {{ unless_suppressed('suppressed.workers', 'bigint') }} as workers,
        {{ unless_suppressed('suppressed.closed', 'integer') }} as closed,
        {{ unless_suppressed('suppressed.settled', 'integer') }} as settled,
        {{ unless_suppressed('suppressed.closed_15d', 'integer') }} as closed_15d,
        {{ unless_suppressed('suppressed.closed_45d', 'integer') }} as closed_45d,
        {{ unless_suppressed('suppressed.closed_60d', 'integer') }} as closed_60d,
        {{ unless_suppressed('suppressed.median_days', 'integer') }} as median_days,
        {{ unless_suppressed('suppressed.p90_days', 'integer') }} as p90_days,
        {{ unless_suppressed('suppressed.legal_aid', 'integer') }} as legal_aid,
        {{ unless_suppressed('suppressed.new_form_cases', 'integer') }} as new_form_cases,
        {{ unless_suppressed('suppressed.claimed_amount', 'numeric(18, 2)') }} as claimed_amount,
        {{ unless_suppressed('suppressed.recovered_amount', 'numeric(18, 2)') }} as recovered_amount,
        {{ unless_suppressed('suppressed.settled_rate', 'numeric(18, 6)') }} as settled_rate,
        suppressed.is_suppressed,
        {{ month_key('suppressed.month') }} as month_key,
        sender.name as sender_name,
        region.name as region_name,
        dispute_type.label as dispute_type_label
    from suppressed
    left join {{ ref('region') }} as sender on suppressed.sender = sender.admdvs
    left join {{ ref('region') }} as region on suppressed.admdvs = region.admdvs
    left join {{ ref('dispute_type') }} as dispute_type on suppressed.dispute_type = dispute_type.code
)

select * from final
