{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_person_service',
    changed_on=['person_key'],
    indexes=[{'columns': ['person_key', 'service_group', 'valid_from'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_person_service') }}
with

service as (
    select distinct
        person_key,
        service_group,
        month
    from {{ ref('service_record') }}
    where
        is_valid
        and person_key is not null
        and {{ only_changed('int_changed_person_service', ['person_key']) }}
),

served as (
    select
        person_key,
        service_group,
        month
    from service
    union all
    select distinct
        person_key,
        'any' as service_group,
        month
    from service
),

-- a window ends after 12 months, or where the next one begins: windows of one person and group do not overlap
final as (
    select
        person_key,
        service_group,
        month as valid_from,
        least(
            (month + interval '12 months')::date,
            lead(month) over (partition by person_key, service_group order by month)
        ) as valid_to
    from served
)

select * from final
