{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_burden',
    changed_on=['month', 'insu_admdvs'],
    indexes=[{'columns': ['month', 'insu_admdvs', 'category'], 'unique': true}, {'columns': ['insu_admdvs', 'month']}],
) }}
-- depends_on: {{ ref('int_changed_burden') }}
with

cell as (
    select
        settlement.setl_month as month,
        settlement.insu_admdvs,
        settlement.category,
        count(distinct settlement.person_key) as persons,
        count(*) as settlements,
        sum(settlement.medfee_sumamt) as medfee,
        sum(settlement.fund_pay_sumamt) as fund_pay,
        sum(settlement.psn_pay) as psn_pay
    from {{ ref('settlement') }} as settlement
    inner join {{ ref('member_month') }} as member
        on settlement.person_key = member.person_key and settlement.setl_month = member.month
    where
        settlement.is_net
        and {{ only_changed(
            'int_changed_burden', ['month', 'insu_admdvs'], ['settlement.setl_month', 'settlement.insu_admdvs']
        ) }}
    group by settlement.setl_month, settlement.insu_admdvs, settlement.category
),

{{ suppress_small_cells('cell', 'persons', ['month', 'insu_admdvs'], 'category') }},

final as (
    select
        suppressed.month,
        suppressed.insu_admdvs,
        suppressed.category,
        {{ unless_suppressed('suppressed.persons', 'integer') }} as persons,
        {{ unless_suppressed('suppressed.settlements', 'integer') }} as settlements,
        {{ unless_suppressed('round(suppressed.medfee, 2)', 'numeric(18, 2)') }} as medfee,
        {{ unless_suppressed('round(suppressed.fund_pay, 2)', 'numeric(18, 2)') }} as fund_pay,
        {{ unless_suppressed('round(suppressed.psn_pay, 2)', 'numeric(18, 2)') }} as psn_pay,
        suppressed.is_suppressed,
        {{ month_key('suppressed.month') }} as month_key,
        region.name as region_name,
        {{ medical_category_label('suppressed.category') }} as category_label
    from suppressed
    left join {{ ref('region') }} as region on suppressed.insu_admdvs = region.admdvs
)

select * from final
