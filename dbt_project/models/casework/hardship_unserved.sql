{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_unserved',
    changed_on=['month', 'person_key'],
    indexes=[{'columns': ['month', 'person_key'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_changed_unserved') }}
with

watch as (
    select * from {{ ref('hardship_watch') }}
    where {{ only_changed('int_changed_unserved', ['month', 'person_key']) }}
),

served as (
    select
        watch.month,
        watch.person_key,
        max(service.served_on) as last_served_on
    from watch
    inner join {{ ref('service_record') }} as service
        on watch.person_key = service.person_key and watch.month >= service.month
    where
        service.is_valid
        and service.service_group in ('1', '2')  -- aid and visits
    group by watch.month, watch.person_key
),

final as (
    select
        watch.month,
        watch.person_key,
        watch.level,
        watch.ratio,
        served.last_served_on,
        watch.level_label,
        watch.month_key,
        watch.sender,
        watch.admdvs,
        watch.region_name,
        watch.org_code
    from watch
    left join served on watch.month = served.month and watch.person_key = served.person_key
    where
        served.last_served_on is null
        -- before the 12 months that end with this one
        or served.last_served_on < watch.month - interval '11 months'
)

select * from final
