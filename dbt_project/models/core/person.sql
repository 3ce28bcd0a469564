{{ config(
    materialized='incremental',
    touched='int_touched_person',
    touched_on=['person_key'],
    indexes=[{'columns': ['person_key'], 'unique': true}, {'columns': ['delivery_name']}],
) }}
-- depends_on: {{ ref('int_touched_person') }}
{# Which row speaks for a person: see the macro person_rows. #}
{%- set arrived %}select delivery_id from {{ ref('int_delivery') }} where is_changed{% endset %}
{#- mostly nobody is, and no partition has to be opened -#}
{%- set any_lost %}
    select delivery_id from {{ ref('int_delivery') }}
    where exists (select from {{ ref('int_touched_person') }} where is_lost)
{%- endset %}
{%- set is_lost -%}
person_key in (select person_key from {{ ref('int_touched_person') }} where is_lost)
{%- endset %}
with

met as (
    {%- for feed in person_feeds() %}
    {%- if is_incremental() %}
    {{ person_rows(feed, 'delivery.is_changed and ' ~ only_partitions_of(arrived, feed.staging)) }}
    union all
    {{ person_rows(feed, feed.staging ~ '.' ~ is_lost ~ ' and ' ~ only_partitions_of(any_lost, feed.staging)) }}
    {%- else %}
    {{ person_rows(feed, 'true') }}
    {%- endif %}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
    {%- if is_incremental() %}
    union all
    select
        standing.person_key,
        ((standing.sex is not null)::integer * 1000000000::bigint + delivery.event_rank) * 100000
        + coalesce(standing.birth_year, 0) * 10 + coalesce(standing.sex::integer, 0) as spoken
    from {{ this }} as standing
    inner join {{ ref('int_touched_person') }} as touched on standing.person_key = touched.person_key
    inner join {{ ref('int_delivery') }} as delivery on standing.delivery_name = delivery.name
    where not touched.is_lost
    {%- endif %}
),

spoken as (
    select
        person_key,
        max(spoken) as spoken
    from met
    group by person_key
),

final as (
    select
        spoken.person_key,
        sex.code as sex,
        sex.label as sex_label,
        nullif(spoken.spoken / 10 % 10000, 0)::smallint as birth_year,
        delivery.name as delivery_name
    from spoken
    inner join {{ ref('int_delivery') }} as delivery on spoken.spoken / 100000 % 1000000000 = delivery.event_rank
    left join {{ ref('sex') }} as sex
        on nullif(spoken.spoken % 10, 0)::text = sex.code
)

select * from final
