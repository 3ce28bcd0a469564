{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_employment_spell',
    changed_on=['sender', 'spell_id'],
    indexes=[{'columns': ['sender', 'spell_id', 'valid_from'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_changed_employment_spell') }}
with

version as (
    {{- delta_versions(
        'stg_employment__employment_spell',
        'employment',
        ['spell_id'],
        ['person_key', 'employment_form', 'employer_uscc', 'started_on', 'ended_on'],
        employment_deliveries_to_read(),
        only_changed('int_changed_employment_spell', ['sender', 'spell_id'], ['delivery.sender', 'register.spell_id']),
    ) }}
),

-- employed at a month's last day, in months: begun in the month at the latest, ended in a later one
final as (
    select
        *,
        greatest(valid_from, date_trunc('month', started_on)::date) as employed_from,
        least(valid_to, date_trunc('month', ended_on)::date) as employed_to
    from version
)

select * from final
