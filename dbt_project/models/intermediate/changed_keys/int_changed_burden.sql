{{ config(indexes=[{'columns': ['month', 'insu_admdvs'], 'unique': true}]) }}
{# Cells of the burden that may differ: where changed settlements were or are, and where members whose membership may
   differ have settlements. #}
with

final as (
    select
        old_setl_month as month,
        old_insu_admdvs as insu_admdvs
    from {{ ref('int_changed_settlement') }}
    union
    select settlement.setl_month, settlement.insu_admdvs
    from {{ ref('settlement') }} as settlement
    inner join {{ ref('int_changed_settlement') }} as changed_key
        on settlement.sender = changed_key.sender and settlement.setl_id = changed_key.setl_id
    union
    select settlement.setl_month, settlement.insu_admdvs
    from {{ ref('settlement') }} as settlement
    inner join {{ ref('int_changed_member_month') }} as changed_key
        on settlement.person_key = changed_key.person_key and settlement.setl_month = changed_key.month
)

select * from final
