{# Event feeds: of one sender and key the row of the last delivery counts, in the order (created, name). #}

{# Body of a model int_touched_<fact>: the keys whose row in the fact changes, with the delivery the new row comes from
   (null: the key is gone) and, as old_<column>, what the row that stood before remembers.
   Deliveries that arrived are compared with the rows that stand; only keys whose row came from a changed delivery are
   looked up among all deliveries. Rows with is_current false were touched by an earlier, unfinished attempt: their old
   values matter to what is built on the fact, the fact itself is not concerned. #}
{% macro touched_events(staging, fact, source, keys, remember) %}
-- depends_on: {{ ref('int_delivery_changed') }}
{% set standing = previous(fact) %}
{% set changed %}
    select delivery_id from {{ ref('int_delivery') }} where is_changed and source = '{{ source }}'
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

{% if standing is none -%}
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
    from {{ standing }}
    where delivery_name in (select name from {{ ref('int_delivery_changed') }} where source = '{{ source }}')
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
    where delivery.source = '{{ source }}'
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
        {% for column in remember %}standing.{{ column.split(' ')[1] }} as old_{{ column.split(' ')[1] }},
        {% endfor -%}
        true as is_current
    from arrived
    left join {{ standing }} as standing
        on
            arrived.sender = standing.sender
            {% for key in keys %}and arrived.{{ key }} = standing.{{ key }}
            {% endfor -%}
    left join {{ ref('int_delivery') }} as its_delivery on standing.delivery_name = its_delivery.name
    where
        (standing.delivery_name is null or (not its_delivery.is_changed and its_delivery.event_rank < arrived.event_rank))
        and not exists (
            select 1 from lost
            where
                lost.sender = arrived.sender
                {% for key in keys %}and lost.{{ key }} = arrived.{{ key }}
                {% endfor -%}
        )
),
{%- endif %}

touched as (
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
        touched.*,
        build.generation
    from touched
    cross join {{ ref('int_build') }} as build
)

select * from final
{% endmacro %}

{# The rows of an event feed that count, with the sender: of the touched keys in an incremental run, else of all. #}
{% macro latest_events(staging, source, keys, touched) %}
    {%- if is_incremental() %}
    {%- set to_read %}
    select distinct delivery_id from {{ ref(touched) }} where is_current and delivery_id is not null
    {%- endset %}
    select
        touched.sender,
        delivery.name as delivery_name,
        event.*
    from {{ ref(staging) }} as event
    inner join {{ ref('int_delivery') }} as delivery on event.delivery_id = delivery.delivery_id
    inner join {{ ref(touched) }} as touched
        on
            event.delivery_id = touched.delivery_id
            {% for key in keys %}and event.{{ key }} = touched.{{ key }}
            {% endfor -%}
    where
        touched.is_current
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
