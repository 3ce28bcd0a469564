{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_settlement',
    changed_on=['sender', 'setl_id'],
    indexes=[
        {'columns': ['setl_id', 'sender'], 'unique': true},
        {'columns': ['init_setl_id']},
    ],
) }}
-- depends_on: {{ ref('int_changed_delivery') }}
-- depends_on: {{ ref('int_changed_settlement') }}
{%- set to_read = settlement_deliveries_to_read() %}
with

candidate as (
    select
        delivery.sender,
        settlement.setl_id,
        delivery.delivery_id,
        delivery.event_rank,
        settlement.init_setl_id,
        settlement.vali_flag,
        settlement.refd_setl_flag,
        settlement.out_flag
    from {{ ref('stg_medical__settlement') }} as settlement
    inner join {{ ref('int_delivery') }} as delivery on settlement.delivery_id = delivery.delivery_id
    where
        delivery.delivery_id in ({{ to_read }})
        and {{ only_partitions_of(to_read, 'settlement') }}
        and {{ only_changed(
            'int_changed_settlement', ['sender', 'setl_id'], ['delivery.sender', 'settlement.setl_id']
        ) }}
    {%- if is_incremental() %}
    union all
    -- from deliveries that are not read again: their row still counts, or a changed delivery replaces it
    select
        existing.sender,
        existing.setl_id,
        existing.delivery_id,
        delivery.event_rank,
        existing.init_setl_id,
        existing.vali_flag,
        existing.refd_setl_flag,
        existing.out_flag
    from {{ this }} as existing
    inner join {{ ref('int_delivery') }} as delivery on existing.delivery_id = delivery.delivery_id
    where
        delivery.delivery_id not in ({{ to_read }})
        and {{ only_changed('int_changed_settlement', ['sender', 'setl_id'], 'existing') }}
    {%- endif %}
),

final as (
    select distinct on (sender, setl_id)
        sender,
        setl_id,
        delivery_id,
        init_setl_id,
        vali_flag,
        refd_setl_flag,
        out_flag
    from candidate
    order by sender asc, setl_id asc, event_rank desc
)

select * from final
