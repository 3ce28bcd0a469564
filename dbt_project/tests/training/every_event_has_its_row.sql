{#
What: every key of an enrolment, certificate or fund report in deliveries that count has its row in core, and every row in
core is in the delivery that it names. A normal build looks at what changed, the weekly run at everything.
When: always; a finding means that facts and landing disagree.
How to resolve: build the schema anew (dbt build --full-refresh), and report the delivery that the message names.
#}
-- depends_on: {{ ref('int_changed_delivery') }}
{% set feeds = [
    ('certificate', 'stg_training__certificate', ['certificate_no']),
    ('enrolment', 'stg_training__enrolment', ['enrolment_id']),
    ('training_fund', 'stg_training__fund', ['employer_uscc', 'year']),
] %}
{% set everything = var('full_tests') or flags.FULL_REFRESH %}
{%- set changed_only -%}
and fact.delivery_name in (select name from {{ ref('int_changed_delivery') }})
{%- endset %}
with

delivery as (
    select * from {{ ref('int_delivery') }}
    where source = 'training' {{ '' if everything else 'and is_changed' }}
),

{% for fact, staging, keys in feeds -%}
{{ fact }}_landed as (
    select distinct
        delivery.sender,
        event.{{ keys | join(', event.') }}
    from {{ ref(staging) }} as event
    inner join delivery on event.delivery_id = delivery.delivery_id
    where event.delivery_id = any(array(select changed.delivery_id from delivery as changed))
),

{{ fact }}_missing as (
    select
        landed.sender,
        count(*) as keys_missing
    from {{ fact }}_landed as landed
    left join {{ ref(fact) }} as fact
        on
            landed.sender = fact.sender
            and (landed.{{ keys | join(', landed.') }}) = (fact.{{ keys | join(', fact.') }})
    where fact.sender is null
    group by landed.sender
),

{{ fact }}_stray as (
    select distinct fact.delivery_name
    from {{ ref(fact) }} as fact
    left join {{ ref('int_delivery') }} as counting on fact.delivery_name = counting.name
    where counting.name is null {{ '' if everything else changed_only }}
),

{% endfor -%}
failing as (
    {% for fact, staging, keys in feeds -%}
    select
        format(
            '%s keys of {{ fact }} of sender %s have no row in core.{{ fact }}.', keys_missing, sender
        ) as audit_message
    from {{ fact }}_missing
    union all
    select
        format('core.{{ fact }} names the delivery %s, which does not count.', delivery_name) as audit_message
    from {{ fact }}_stray
    {{ 'union all' if not loop.last }}
    {% endfor -%}
)

select audit_message from failing
