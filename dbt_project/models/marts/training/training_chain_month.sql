{{ config(
    indexes=[{'columns': ['month', 'sender', 'training_type'], 'unique': true}],
) }}
with

cell as (
    select cell.*
    from {{ ref('int_training_chain_cell') }} as cell
    inner join {{ ref('int_month_covered') }} as covered on cell.month + interval '6 months' = covered.month
),

{{ suppress_small_cells('cell', 'trained', ['month', 'sender'], 'training_type', total='all') }},

final as (
    select
        suppressed.month,
        suppressed.sender,
        suppressed.training_type,
        {{ unless_suppressed('suppressed.trained', 'integer') }} as trained,
        {{ unless_suppressed('suppressed.member_persons', 'integer') }} as member_persons,
        {{ unless_suppressed('suppressed.certified', 'integer') }} as certified,
        {{ unless_suppressed('suppressed.employed', 'integer') }} as employed,
        {{ unless_suppressed('suppressed.insured', 'integer') }} as insured,
        {{ unless_suppressed('suppressed.certified_employed', 'integer') }} as certified_employed,
        {{ unless_suppressed('suppressed.certified_employed_insured', 'integer') }} as certified_employed_insured,
        {{ unless_suppressed(
            share('suppressed.certified', 'suppressed.trained'), 'numeric(18, 6)'
        ) }} as certified_rate,
        {{ unless_suppressed(
            share('suppressed.employed', 'suppressed.trained'), 'numeric(18, 6)'
        ) }} as employed_rate,
        {{ unless_suppressed(
            share('suppressed.insured', 'suppressed.trained'), 'numeric(18, 6)'
        ) }} as insured_rate,
        {{ unless_suppressed(
            share('suppressed.certified_employed_insured', 'suppressed.trained'), 'numeric(18, 6)'
        ) }} as chain_rate,
        suppressed.is_suppressed,
        {{ month_key('suppressed.month') }} as month_key,
        sender.name as sender_name,
        case suppressed.training_type
            when 'all' then '全部'
            when 'unknown' then '未知'
            else training_type.label
        end as training_type_label
    from suppressed
    left join {{ ref('region') }} as sender on suppressed.sender = sender.admdvs
    left join {{ ref('training_type') }} as training_type on suppressed.training_type = training_type.code
)

select * from final
