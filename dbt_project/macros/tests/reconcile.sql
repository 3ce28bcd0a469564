{# A table of core against landing and the ledger: each row of a delivery that counts has its row there, of that delivery
   or of a later one in the order `rank` of int_delivery; no row is of a delivery that does not count; as many rows landed
   as the ledger counts. `keys` are those of the feed, without the sender. In a normal build the deliveries that changed are
   looked at, weekly (full_tests) all.
   When it fails, rows were lost or doubled between landing and core, and nothing is published before. Rebuild with
   `--full-refresh`; if that mends it, the model of the table's changed keys names too few. #}
{% test reconciles_to_landing(model, staging, source, feed, keys, rank='event_rank') %}
-- depends_on: {{ ref('int_changed_delivery') }}
{%- set is_full = var('full_tests') or flags.FULL_REFRESH %}
{%- set to_read %}
    select delivery_id from {{ ref('int_delivery') }}
    where source = '{{ source }}' {{ '' if is_full else 'and is_changed' }}
{%- endset %}
with

delivery as (
    select * from {{ ref('int_delivery') }}
    where delivery_id in ({{ to_read }})
),

landed as (
    select
        delivery.name,
        count(*) as rows_landed,
        count(*) filter (where existing.sender is null) as rows_missing,
        count(*) filter (
            where existing.sender is not null and coalesce(winner.{{ rank }} < delivery.{{ rank }}, true)
        ) as rows_of_others
    from {{ staging }} as landed_row
    inner join delivery on landed_row.delivery_id = delivery.delivery_id
    left join {{ model }} as existing
        on
            delivery.sender = existing.sender
            {% for key in keys -%}
            and landed_row.{{ key }} = existing.{{ key }}
            {% endfor -%}
    left join {{ ref('int_delivery') }} as winner on existing.delivery_name = winner.name
    where {{ only_partitions_of(to_read, 'landed_row') }}
    group by delivery.name
),

counted as (
    select
        delivery_name as name,
        sum(rows_loaded) as rows_loaded
    from {{ ref('stg_ops__delivery_file') }}
    where feed = '{{ feed }}'
    group by delivery_name
),

compared as (
    select
        delivery.name,
        coalesce(counted.rows_loaded, 0) as rows_loaded,
        coalesce(landed.rows_landed, 0) as rows_landed,
        coalesce(landed.rows_missing, 0) as rows_missing,
        coalesce(landed.rows_of_others, 0) as rows_of_others
    from delivery
    left join landed on delivery.name = landed.name
    left join counted on delivery.name = counted.name
),

stray as (
    select distinct delivery_name
    from {{ model }}
    where
    {%- if is_full %}
        delivery_name not in (select name from {{ ref('int_delivery') }})
    {%- else %}
        {{ only_literals(
            'delivery_name',
            'select name from ' ~ ref('int_changed_delivery') ~ " where not is_input and source = '" ~ source ~ "'",
            ref('int_changed_delivery')
        ) }}
    {%- endif %}
)

select
    format(
        'Delivery %s: the ledger counts %s rows of {{ feed }}, %s landed, %s of them are missing in core and %s stand '
        'there with a row of an older delivery or of one that does not count.',
        name, rows_loaded, rows_landed, rows_missing, rows_of_others
    ) as audit_message
from compared
where rows_missing > 0 or rows_of_others > 0 or rows_landed <> rows_loaded
union all
select format('core.{{ feed }} names the delivery %s, which does not count.', delivery_name) as audit_message
from stray
{% endtest %}
