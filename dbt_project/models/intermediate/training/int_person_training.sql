{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_person_training',
    changed_on=['person_key'],
    indexes=[{'columns': ['person_key', 'valid_from'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_person_training') }}
with

started as (
    select distinct
        person_key,
        month
    from {{ ref('enrolment') }}
    where {{ only_changed('int_changed_person_training', ['person_key']) }}
),

-- a window ends after 12 months, or where the next one begins: windows of one person do not overlap
final as (
    select
        person_key,
        month as valid_from,
        least(
            (month + interval '12 months')::date,
            lead(month) over (partition by person_key order by month)
        ) as valid_to
    from started
)

select * from final
