{# Event feeds: of one sender and key the row of the last delivery counts, in the order (created, name). #}

{# Body of a model int_changed_<fact>: the keys whose row in the fact changes, with the delivery that the new row comes
   from (null: the key is gone) and, as old_<column>, values of the row before (`remember`, each "type column").
   Deliveries that arrived are compared with the rows of the fact; only keys whose row came from a changed delivery are
   looked up among all deliveries. Rows with is_current false were found by an earlier, unfinished build: the models built
   on the fact need their old values, the fact itself does not. #}
{% macro changed_events(staging, fact, source, keys, remember) %}
-- depends_on: {{ ref('int_changed_delivery') }}
{% set existing = previous(fact) %}
{% set changed %}
    select delivery_id from {{ ref('int_delivery') }} where is_changed and source = '{{ source }}'
{% endset %}
{% set changed_senders = 'select sender from ' ~ ref('int_changed_delivery') ~ " where source = '" ~ source ~ "'" %}
{% set of_changed_senders %}
    select delivery_id from {{ ref('int_delivery') }} where source = '{{ source }}' and sender in ({{ changed_senders }})
{% endset %}
with

arrived as (
    select
        delivery.sender,
        {% for key in keys %}event.{{ key }},
        {% endfor -%}
        max(delivery.event_rank) as event_rank
    from {{ ref(staging) }} as event
    inner join {{ ref('int_delivery') }} as delivery on event.delivery_id = delivery.delivery_id
    where
        delivery.is_changed
        and {{ only_partitions_of(changed, 'event') }}
        {% if flags.FULL_REFRESH %}and false{% endif %}
    group by delivery.sender, {% for key in keys %}event.{{ key }}{{ ', ' if not loop.last }}{% endfor %}
),

{% if existing is none -%}
winner as (
    select
        arrived.*,
        {% for column in remember %}null::{{ column.split(' ')[0] }} as old_{{ column.split(' ')[1] }},
        {% endfor -%}
        true as is_current
    from arrived
),
{%- else -%}
lost as (
    select
        sender,
        {% for key in keys %}{{ key }},
        {% endfor -%}
        {% for column in remember %}{{ column.split(' ')[1] }}{{ ', ' if not loop.last }}
        {% endfor -%}
    from {{ existing }}
    where {{ only_literals(
        'delivery_name',
        'select name from ' ~ ref('int_changed_delivery') ~ " where source = '" ~ source ~ "'",
        ref('int_changed_delivery')
    ) }}
),

looked_up as (
    select
        delivery.sender,
        {% for key in keys %}event.{{ key }},
        {% endfor -%}
        max(delivery.event_rank) as event_rank
    from {{ ref(staging) }} as event
    inner join {{ ref('int_delivery') }} as delivery on event.delivery_id = delivery.delivery_id
    inner join lost
        on
            delivery.sender = lost.sender
            {% for key in keys %}and event.{{ key }} = lost.{{ key }}
            {% endfor -%}
    where {{ only_partitions_of(of_changed_senders, 'event') }}
    group by delivery.sender, {% for key in keys %}event.{{ key }}{{ ', ' if not loop.last }}{% endfor %}
),

winner as (
    select
        lost.sender,
        {% for key in keys %}lost.{{ key }},
        {% endfor -%}
        looked_up.event_rank,
        {% for column in remember %}lost.{{ column.split(' ')[1] }} as old_{{ column.split(' ')[1] }},
        {% endfor -%}
        true as is_current
    from lost
    left join looked_up
        on
            lost.sender = looked_up.sender
            {% for key in keys %}and lost.{{ key }} = looked_up.{{ key }}
            {% endfor %}
    union all
    select
        arrived.sender,
        {% for key in keys %}arrived.{{ key }},
        {% endfor -%}
        arrived.event_rank,
        {% for column in remember %}existing.{{ column.split(' ')[1] }} as old_{{ column.split(' ')[1] }},
        {% endfor -%}
        true as is_current
    from arrived
    left join {{ existing }} as existing
        on
            arrived.sender = existing.sender
            {% for key in keys %}and arrived.{{ key }} = existing.{{ key }}
            {% endfor -%}
            and {{ only_literals('existing.sender', changed_senders, ref('int_changed_delivery')) }}
    left join {{ ref('int_delivery') }} as existing_delivery on existing.delivery_name = existing_delivery.name
    where
        (existing.delivery_name is null or (not existing_delivery.is_changed and existing_delivery.event_rank < arrived.event_rank))
        and not exists (
            select 1 from lost
            where
                lost.sender = arrived.sender
                {% for key in keys %}and lost.{{ key }} = arrived.{{ key }}
                {% endfor -%}
        )
),
{%- endif %}

changed_key as (
    select
        winner.sender,
        {% for key in keys %}winner.{{ key }},
        {% endfor -%}
        delivery.delivery_id,
        {% for column in remember %}winner.old_{{ column.split(' ')[1] }},
        {% endfor -%}
        winner.is_current
    from winner
    left join {{ ref('int_delivery') }} as delivery on winner.event_rank = delivery.event_rank
    {%- set own = previous(model.name) %}
    {%- if own is not none %}
    union all
    select
        sender,
        {% for key in keys %}{{ key }},
        {% endfor -%}
        null as delivery_id,
        {% for column in remember %}old_{{ column.split(' ')[1] }},
        {% endfor -%}
        false as is_current
    from {{ own }}
    where generation = (select generation from {{ ref('int_build') }})
    {%- endif %}
),

final as (
    select distinct
        changed_key.*,
        build.generation
    from changed_key
    cross join {{ ref('int_build') }} as build
)

select * from final
{% endmacro %}

{# The rows of an event feed that count, with the sender: of the changed keys in an incremental run, else all. A model
   that is a plain table has no changed keys. #}
{% macro latest_events(staging, source, keys, changed_keys=none) %}
    {%- if changed_keys is not none and is_incremental() %}
    {%- set to_read %}
    select distinct delivery_id from {{ ref(changed_keys) }} where is_current and delivery_id is not null
    {%- endset %}
    select
        changed_key.sender,
        delivery.name as delivery_name,
        event.*
    from {{ ref(staging) }} as event
    inner join {{ ref('int_delivery') }} as delivery on event.delivery_id = delivery.delivery_id
    inner join {{ ref(changed_keys) }} as changed_key
        on
            event.delivery_id = changed_key.delivery_id
            {% for key in keys %}and event.{{ key }} = changed_key.{{ key }}
            {% endfor -%}
    where
        changed_key.is_current
        and {{ only_partitions_of(to_read, 'event') }}
    {%- else %}
    select distinct on (delivery.sender, {% for key in keys %}event.{{ key }}{{ ', ' if not loop.last }}{% endfor %})
        delivery.sender,
        delivery.name as delivery_name,
        event.*
    from {{ ref(staging) }} as event
    inner join {{ ref('int_delivery') }} as delivery on event.delivery_id = delivery.delivery_id
    where delivery.source = '{{ source }}'
    order by delivery.sender, {% for key in keys %}event.{{ key }}, {% endfor %}delivery.event_rank desc
    {%- endif %}
{% endmacro %}
