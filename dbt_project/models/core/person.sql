{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_person',
    changed_on=['person_key'],
    indexes=[{'columns': ['person_key'], 'unique': true}, {'columns': ['delivery_name']}],
) }}
-- depends_on: {{ ref('int_changed_person') }}
{# Which row of a person takes precedence: see the macro person_rows. #}
{%- set arrived %}select delivery_id from {{ ref('int_delivery') }} where is_changed{% endset %}
{#- mostly no person is, and then no partition is read -#}
{%- set any_lost %}
    select delivery_id from {{ ref('int_delivery') }}
    where exists (select from {{ ref('int_changed_person') }} where is_lost)
{%- endset %}
{%- set is_lost -%}
person_key in (select person_key from {{ ref('int_changed_person') }} where is_lost)
{%- endset %}
with

met as (
    {%- for feed in person_feeds() %}
    {%- if is_incremental() %}
    {{ person_rows(feed, 'delivery.is_changed and ' ~ only_partitions_of(arrived, feed)) }}
    union all
    {{ person_rows(feed, feed ~ '.' ~ is_lost ~ ' and ' ~ only_partitions_of(any_lost, feed)) }}
    {%- else %}
    {{ person_rows(feed, 'true') }}
    {%- endif %}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
    {%- if is_incremental() %}
    union all
    select
        existing.person_key,
        ((existing.sex is not null)::integer * 1000000000::bigint + delivery.event_rank) * 100000
        + coalesce(existing.birth_year, 0) * 10 + coalesce(existing.sex::integer, 0) as precedence
    from {{ this }} as existing
    inner join {{ ref('int_changed_person') }} as changed_key on existing.person_key = changed_key.person_key
    inner join {{ ref('int_delivery') }} as delivery on existing.delivery_name = delivery.name
    where not changed_key.is_lost
    {%- endif %}
),

foremost as (
    select
        person_key,
        max(precedence) as precedence
    from met
    group by person_key
),

final as (
    select
        foremost.person_key,
        sex.code as sex,
        sex.label as sex_label,
        nullif(foremost.precedence / 10 % 10000, 0)::smallint as birth_year,
        delivery.name as delivery_name
    from foremost
    inner join {{ ref('int_delivery') }} as delivery on foremost.precedence / 100000 % 1000000000 = delivery.event_rank
    left join {{ ref('sex') }} as sex
        on nullif(foremost.precedence % 10, 0)::text = sex.code
)

select * from final
