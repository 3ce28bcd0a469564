{# Persons who occur in deliveries that arrived, and those whose attributes came from a changed delivery (is_lost: all
   their rows are read again). core.person decides whether the new row of a person of the first kind takes precedence
   over the row in the table. #}
-- depends_on: {{ ref('int_changed_delivery') }}
{% set existing = previous('person') -%}
{% set arrived %}select delivery_id from {{ ref('int_delivery') }} where is_changed{% endset -%}
with

arrived as (
    {%- for feed in person_feeds() %}
    select distinct person_key
    from {{ ref(feed) }}
    where
        delivery_id in ({{ arrived }})
        and {{ only_partitions_of(arrived, feed) }}
        and person_key is not null
    {{ 'union' if not loop.last }}
    {%- endfor %}
),

lost as (
    {%- if existing is not none %}
    select person_key
    from {{ existing }}
    where delivery_name in (select name from {{ ref('int_changed_delivery') }})
    {%- else %}
    select null::uuid as person_key
    where false
    {%- endif %}
),

final as (
    select
        person_key,
        lost.person_key is not null as is_lost
    from arrived
    full outer join lost using (person_key)
    {% if flags.FULL_REFRESH %}where false{% endif %}
)

select * from final
