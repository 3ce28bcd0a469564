{#
What: every insurance relation that a counting delivery brought is in core.insurance_spell.
When: always; in a normal build for the deliveries that changed, weekly (full_tests) for all.
How to resolve: rows were lost between landing and core. Nothing is published before. Rebuild with `--full-refresh`; if
that mends it, the changed keys are incomplete: see int_changed_spell.
#}
-- depends_on: {{ ref('int_changed_delivery') }}
{% set is_full = var('full_tests') or flags.FULL_REFRESH %}
{%- set to_read %}
    select delivery_id from {{ ref('int_delivery') }}
    where source = 'medical' {{ '' if is_full else 'and is_changed' }}
{%- endset %}
with

final as (
    select
        delivery.name as delivery_name,
        format(
            'Delivery %s: %s insurance relations are missing in core.insurance_spell.', delivery.name, count(*)
        ) as audit_message
    from {{ ref('stg_medical__insurance') }} as insurance
    inner join {{ ref('int_delivery') }} as delivery on insurance.delivery_id = delivery.delivery_id
    where
        delivery.delivery_id in ({{ to_read }})
        and {{ only_partitions_of(to_read, 'insurance') }}
        and not exists (
            select 1 from {{ ref('insurance_spell') }} as spell
            where delivery.sender = spell.sender and insurance.psn_insu_rlts_id = spell.psn_insu_rlts_id
        )
    group by delivery.name
)

select * from final
