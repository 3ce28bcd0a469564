{# Settlements whose row in the fact may differ: those in a changed delivery, and those that are netted against them
   (the original of a reversal, the other end of an off-site settlement). old_… are the values of the row before, and
   of rows in deliveries that were withdrawn: figures built on the fact are computed again there as well. Where a
   delivery is withdrawn, an older row of the same settlement may count again, from a delivery that did not change:
   what is netted against that one changes too. #}
{% set existing = previous('settlement') -%}
{% set changed %}
    select delivery_id from {{ ref('int_changed_delivery') }}
    where source = 'medical'
{%- endset %}
{% set returning %}
    select delivery_id from {{ ref('int_delivery') }}
    where
        source = 'medical'
        and sender in (select sender from {{ ref('int_changed_delivery') }} where source = 'medical' and not is_input)
{%- endset %}
-- depends_on: {{ ref('stg_medical__settlement') }}
-- depends_on: {{ ref('int_delivery') }}
with

{% if existing is none -%}
-- the fact is built in full: there are no changed keys
changed_key as (
    select
        null::text as sender,
        null::text as setl_id,
        null::uuid as old_person_key,
        null::date as old_setl_month,
        null::text as old_insu_admdvs
    where false
),
{%- else -%}
delivered as (
    select
        changed.sender,
        settlement.setl_id,
        settlement.init_setl_id,
        settlement.out_flag,
        settlement.person_key,
        settlement.setl_month,
        settlement.insu_admdvs
    from {{ ref('stg_medical__settlement') }} as settlement
    inner join {{ ref('int_changed_delivery') }} as changed on settlement.delivery_id = changed.delivery_id
    where changed.source = 'medical' and {{ only_partitions_of(changed, 'settlement') }}
),

delivered_key as (
    select distinct sender, setl_id
    from delivered
),

replaced as (
    select
        existing.sender,
        existing.setl_id,
        existing.init_setl_id,
        existing.out_flag,
        existing.person_key,
        existing.setl_month,
        existing.insu_admdvs
    from {{ existing }} as existing
    inner join delivered_key
        on existing.sender = delivered_key.sender and existing.setl_id = delivered_key.setl_id
),

returned as (
    select
        delivered_key.sender,
        settlement.setl_id,
        settlement.init_setl_id,
        settlement.out_flag,
        settlement.person_key,
        settlement.setl_month,
        settlement.insu_admdvs
    from {{ ref('stg_medical__settlement') }} as settlement
    inner join {{ ref('int_delivery') }} as delivery on settlement.delivery_id = delivery.delivery_id
    inner join delivered_key
        on delivery.sender = delivered_key.sender and settlement.setl_id = delivered_key.setl_id
    where {{ only_partitions_of(returning, 'settlement') }}
),

moved as (
    select * from delivered
    union all
    select * from replaced
    union all
    select * from returned
),

moved_reversal as (
    select distinct sender, init_setl_id
    from moved
    where init_setl_id is not null
),

moved_end as (
    select distinct setl_id
    from moved
    where out_flag = '1'
),

original as (
    select
        existing.sender,
        existing.setl_id,
        existing.person_key,
        existing.setl_month,
        existing.insu_admdvs
    from {{ existing }} as existing
    inner join moved_reversal
        on existing.sender = moved_reversal.sender and existing.setl_id = moved_reversal.init_setl_id
),

other_end as (
    select
        existing.sender,
        existing.setl_id,
        existing.person_key,
        existing.setl_month,
        existing.insu_admdvs
    from {{ existing }} as existing
    inner join moved_end on existing.setl_id = moved_end.setl_id
    where existing.out_flag = '2'
),

changed_key as (
    select sender, setl_id, person_key as old_person_key, setl_month as old_setl_month, insu_admdvs as old_insu_admdvs
    from moved
    union
    select sender, setl_id, person_key, setl_month, insu_admdvs from original
    union
    select sender, setl_id, person_key, setl_month, insu_admdvs from other_end
    {{ carried_over(['sender', 'setl_id', 'old_person_key', 'old_setl_month', 'old_insu_admdvs']) }}
),
{%- endif %}

final as (
    select
        changed_key.*,
        build.generation
    from changed_key
    cross join {{ ref('int_build') }} as build
)

select * from final
