{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_delivery',
    changed_on=['delivery_id'],
) }}
{%- set to_read %}
    select delivery_id from {{ ref('int_delivery') }}
    where source = 'medical' {{ 'and is_changed' if is_incremental() }}
{%- endset %}
-- depends_on: {{ ref('int_changed_delivery') }}
with

final as (
    select
        delivery.delivery_id,
        delivery.sender,
        settlement.fixmedins_code,
        {{ institution_key('delivery.sender', 'settlement.fixmedins_code') }} as institution_key,
        max(settlement.fixmedins_name collate "C") as institution_name,
        max(settlement.hosp_lv collate "C") as hosp_lv
    from {{ ref('stg_medical__settlement') }} as settlement
    inner join {{ ref('int_delivery') }} as delivery on settlement.delivery_id = delivery.delivery_id
    where
        delivery.delivery_id in ({{ to_read }})
        and {{ only_partitions_of(to_read, 'settlement') }}
        and {{ only_changed('int_changed_delivery', ['delivery_id'], 'delivery') }}
    group by delivery.delivery_id, delivery.sender, settlement.fixmedins_code
)

select * from final
