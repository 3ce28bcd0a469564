{# Employment spells that stand in a changed delivery, with the first month of which the register's state may differ. #}
{% set existing = previous('int_employment_version') -%}
-- depends_on: {{ ref('stg_employment__employment_spell') }}
-- depends_on: {{ ref('int_delivery') }}
-- depends_on: {{ ref('int_changed_delivery') }}
with

{% if existing is none -%}
changed_key as (
    select
        null::text as sender,
        null::text as spell_id,
        null::uuid as old_person_key,
        null::date as from_month
    where false
),
{%- else -%}
key as (
    {{- changed_register_keys('stg_employment__employment_spell', 'employment', ['spell_id']) }}
),

changed_key as (
    select
        key.sender,
        key.spell_id,
        existing.person_key as old_person_key,
        key.from_month
    from key
    left join {{ existing }} as existing
        on key.sender = existing.sender and key.spell_id = existing.spell_id
    {{ carried_over(['sender', 'spell_id', 'old_person_key', 'from_month']) }}
),
{%- endif %}

final as (
    select distinct
        changed_key.*,
        build.generation
    from changed_key
    cross join {{ ref('int_build') }} as build
)

select * from final
