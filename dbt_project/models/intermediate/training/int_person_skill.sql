{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_person_skill',
    changed_on=['person_key'],
    indexes=[{'columns': ['person_key', 'valid_from'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_person_skill') }}
with

by_month as (
    select
        person_key,
        month,
        max(skill_rank) as skill_rank
    from {{ ref('certificate') }}
    where is_counted and {{ only_changed('int_changed_person_skill', ['person_key']) }}
    group by person_key, month
),

final as (
    select
        person_key,
        month as valid_from,
        coalesce(lead(month) over by_person, 'infinity'::date) as valid_to,
        max(skill_rank) over by_person as skill_rank
    from by_month
    window by_person as (partition by person_key order by month)
)

select * from final
