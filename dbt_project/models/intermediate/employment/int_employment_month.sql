{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_employment_month',
    changed_on=['month', 'person_key'],
    skip_unchanged=true,
    indexes=[{'columns': ['month', 'person_key'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_employment_month') }}
with

spell_month as (
    select
        covered.month,
        spell.person_key,
        spell.employment_form,
        spell.employer_uscc
    from {{ ref('int_employment_version') }} as spell
    {% if is_incremental() -%}
    inner join {{ ref('int_changed_employment_month') }} as changed_key on spell.person_key = changed_key.person_key
    inner join {{ ref('int_month_covered') }} as covered on changed_key.month = covered.month
    {%- else -%}
    cross join {{ ref('int_month_covered') }} as covered
    {%- endif %}
    where spell.employed_from <= covered.month and spell.employed_to > covered.month
),

final as (
    select
        month,
        person_key,
        min(employment_form collate "C") as employment_form,
        min(employer_uscc collate "C") as employment_uscc,
        bool_or(employment_form = '1') as is_unit_employed,
        bool_or(employment_form = '3') and not bool_or(employment_form = '1') as is_flexible_employed
    from spell_month
    group by month, person_key
    -- in the order of months, because most queries read one of them
    order by month, person_key
)

select * from final
