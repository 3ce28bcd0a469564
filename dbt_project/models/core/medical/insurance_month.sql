{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_insurance_month',
    changed_on=['month', 'person_key'],
    skip_unchanged=true,
    indexes=[{'columns': ['month', 'person_key'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_insurance_month') }}
with

spell_month as (
    select
        covered.month,
        spell.person_key,
        spell.insutype,
        spell.psn_type
    from {{ ref('insurance_spell') }} as spell
    {% if is_incremental() -%}
    inner join {{ ref('int_changed_insurance_month') }} as changed_key on spell.person_key = changed_key.person_key
    inner join {{ ref('int_month_covered') }} as covered on changed_key.month = covered.month
    {%- else -%}
    cross join {{ ref('int_month_covered') }} as covered
    {%- endif %}
    where
        spell.in_force_from <= covered.month
        and (spell.in_force_to > covered.month or spell.in_force_to is null)
),

by_person as (
    select
        month,
        person_key,
        count(*)::smallint as spells,
        bool_or(insutype like '310%') as is_employee_insured,
        bool_or(insutype like '390%' or insutype like '391%') as has_resident_spell,
        bool_or(insutype like '310%' and psn_type like '1103%') as is_flexible,
        bool_or(insutype like '310%' and psn_type like '12%') as is_retired
    from spell_month
    group by month, person_key
),

final as (
    select
        month,
        person_key,
        is_employee_insured,
        has_resident_spell and not is_employee_insured as is_resident_insured,
        is_flexible,
        is_retired,
        spells
    from by_person
    -- in the order of months, because most queries read one of them
    order by month, person_key
)

select * from final
