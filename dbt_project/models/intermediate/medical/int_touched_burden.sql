{{ config(indexes=[{'columns': ['month', 'insu_admdvs'], 'unique': true}]) }}
{# Cells of the burden that may differ: where touched settlements stood or stand, and where members whose membership may
   differ have settlements. #}
with

final as (
    select
        old_setl_month as month,
        old_insu_admdvs as insu_admdvs
    from {{ ref('int_touched_settlement') }}
    union
    select settlement.setl_month, settlement.insu_admdvs
    from {{ ref('settlement') }} as settlement
    inner join {{ ref('int_touched_settlement') }} as touched
        on settlement.sender = touched.sender and settlement.setl_id = touched.setl_id
    union
    select settlement.setl_month, settlement.insu_admdvs
    from {{ ref('settlement') }} as settlement
    inner join {{ ref('int_touched_member_month') }} as touched
        on settlement.person_key = touched.person_key and settlement.setl_month = touched.month
)

select * from final
