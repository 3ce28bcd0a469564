{# Persons met in deliveries that arrived, and those whose attributes came from a changed delivery (is_lost: all their
   rows must be looked at again). A person of the first kind only matters where the new row says more than the one that
   stands; that is left to core.person. #}
-- depends_on: {{ ref('int_delivery_changed') }}
{% set standing = previous('person') -%}
{% set arrived %}select delivery_id from {{ ref('int_delivery') }} where is_changed{% endset -%}
with

arrived as (
    {%- for feed in person_feeds() %}
    select distinct person_key
    from {{ ref(feed.staging) }}
    where
        delivery_id in ({{ arrived }})
        and {{ only_partitions_of(arrived, feed.staging) }}
        and person_key is not null
    {{ 'union' if not loop.last }}
    {%- endfor %}
),

lost as (
    {%- if standing is not none %}
    select person_key
    from {{ standing }}
    where delivery_name in (select name from {{ ref('int_delivery_changed') }})
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
