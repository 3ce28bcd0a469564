{#
What: every key of an enrolment, certificate or fund report in deliveries that count has its row in core, and every row in
core stands in the delivery that it names. A normal build looks at what changed, the weekly run at everything.
When: always; a finding means that facts and landing have parted.
How to resolve: build the schema anew (dbt build --full-refresh), and report the delivery that the message names.
#}
-- depends_on: {{ ref('int_delivery_changed') }}
{% set feeds = [
    ('certificate', 'stg_training__certificate', ['certificate_no']),
    ('enrolment', 'stg_training__enrolment', ['enrolment_id']),
    ('training_fund', 'stg_training__fund', ['employer_uscc', 'year']),
] %}
{% set everything = var('full_tests') or flags.FULL_REFRESH %}
with

delivery as (
    select * from {{ ref('int_delivery') }}
    where source = 'training' {{ '' if everything else 'and is_changed' }}
)
{% for fact, staging, keys in feeds %}
, {{ fact }}_landed as (
    select distinct
        delivery.sender,
        {% for key in keys %}event.{{ key }}{{ ', ' if not loop.last }}{% endfor %}
    from {{ ref(staging) }} as event
    inner join delivery on event.delivery_id = delivery.delivery_id
    where event.delivery_id = any(array(select delivery_id from delivery))
)

, {{ fact }}_missing as (
    select format(
        'A key of %s in %s deliveries of sender %s has no row in core.{{ fact }}.', '{{ fact }}', count(*), landed.sender
    ) as audit_message
    from {{ fact }}_landed as landed
    left join {{ ref(fact) }} as fact
        on
            landed.sender = fact.sender
            {% for key in keys %}and landed.{{ key }} = fact.{{ key }}
            {% endfor -%}
    where fact.sender is null
    group by landed.sender
)

, {{ fact }}_stray as (
    select format('core.{{ fact }} names the delivery %s, which does not count.', fact.delivery_name) as audit_message
    from {{ ref(fact) }} as fact
    left join {{ ref('int_delivery') }} as delivery on fact.delivery_name = delivery.name
    where delivery.name is null {{ '' if everything else 'and fact.delivery_name in (select name from ' ~ ref('int_delivery_changed') ~ ')' }}
    group by fact.delivery_name
)
{% endfor %}
{% for fact, staging, keys in feeds %}
select audit_message from {{ fact }}_missing
union all
select audit_message from {{ fact }}_stray
{{ 'union all' if not loop.last }}
{% endfor %}
