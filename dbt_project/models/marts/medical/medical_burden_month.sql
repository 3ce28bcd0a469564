{{ config(
    materialized='incremental',
    touched='int_touched_burden',
    touched_on=['month', 'insu_admdvs'],
    indexes=[{'columns': ['month', 'insu_admdvs', 'category'], 'unique': true}, {'columns': ['insu_admdvs', 'month']}],
) }}
-- depends_on: {{ ref('int_touched_burden') }}
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
        and {{ only_touched(
            'int_touched_burden', ['month', 'insu_admdvs'], ['settlement.setl_month', 'settlement.insu_admdvs']
        ) }}
    group by settlement.setl_month, settlement.insu_admdvs, settlement.category
),

-- one hidden cell alone could be told from the sum of its neighbours: the least of them is hidden as well
ranked as (
    select
        *,
        persons between 1 and 10 as is_small,
        count(*) filter (where persons between 1 and 10) over (partition by month, insu_admdvs) as small_cells,
        row_number() over (
            partition by month, insu_admdvs, persons between 1 and 10
            order by persons, category collate "C"
        ) as place
    from cell
),

judged as (
    select
        *,
        is_small or (small_cells = 1 and place = 1) as is_suppressed
    from ranked
),

final as (
    select
        judged.month,
        judged.insu_admdvs,
        judged.category,
        case when not judged.is_suppressed then judged.persons end::integer as persons,
        case when not judged.is_suppressed then judged.settlements end::integer as settlements,
        case when not judged.is_suppressed then round(judged.medfee, 2) end::numeric(18, 2) as medfee,
        case when not judged.is_suppressed then round(judged.fund_pay, 2) end::numeric(18, 2) as fund_pay,
        case when not judged.is_suppressed then round(judged.psn_pay, 2) end::numeric(18, 2) as psn_pay,
        judged.is_suppressed,
        {{ month_key('judged.month') }} as month_key,
        region.name as region_name,
        {{ medical_category_label('judged.category') }} as category_label
    from judged
    left join {{ ref('region') }} as region on judged.insu_admdvs = region.admdvs
)

select * from final
