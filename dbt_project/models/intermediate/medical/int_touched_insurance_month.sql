{{ config(indexes=[{'columns': ['month', 'person_key'], 'unique': true}]) }}
{% set standing = previous('insurance_month') -%}
-- depends_on: {{ ref('int_month_covered') }}
-- depends_on: {{ ref('insurance_spell') }}
-- depends_on: {{ ref('int_touched_spell') }}
with

{% if standing is none -%}
touched as (
    select
        null::date as month,
        null::uuid as person_key
    where false
),
{%- else -%}
covered as (
    select month from {{ ref('int_month_covered') }}
),

person as (
    select old_person_key as person_key, from_month
    from {{ ref('int_touched_spell') }}
    where old_person_key is not null
    union all
    select spell.person_key, touched.from_month
    from {{ ref('insurance_spell') }} as spell
    inner join {{ ref('int_touched_spell') }} as touched
        on spell.sender = touched.sender and spell.psn_insu_rlts_id = touched.psn_insu_rlts_id
    where spell.person_key is not null
),

person_from as (
    select
        person_key,
        min(from_month) as from_month
    from person
    group by person_key
),

stood as (
    select
        min(month) as first_month,
        max(month) as last_month
    from {{ standing }}
),

-- months that enter the covered ones, or that are asked for
new_month as (
    select covered.month
    from covered
    cross join stood
    where
        stood.first_month is null
        or covered.month not between stood.first_month and stood.last_month
        or covered.month in (select unnest(months_asked) from {{ ref('int_build') }})
),

-- months that left the covered ones, or that are asked for
old_month as (
    select month
    from (
        select {{ every('month', 'first_month', 'last_month') }} as month
        from stood
    ) as stood_month
    where
        month not in (select month from covered)
        or month in (select unnest(months_asked) from {{ ref('int_build') }})
),

touched as (
    select covered.month, person_from.person_key
    from person_from
    inner join covered on person_from.from_month <= covered.month
    union
    select new_month.month, spell.person_key
    from new_month
    inner join {{ ref('insurance_spell') }} as spell
        on
            new_month.month >= spell.in_force_from
            and (new_month.month < spell.in_force_to or spell.in_force_to is null)
    union
    select month, person_key
    from {{ standing }}
    where month = any(array(select month from old_month))
    {{ carried_over(['month', 'person_key']) }}
),
{%- endif %}

final as (
    select
        touched.month,
        touched.person_key,
        build.generation
    from touched
    cross join {{ ref('int_build') }} as build
)

select * from final
