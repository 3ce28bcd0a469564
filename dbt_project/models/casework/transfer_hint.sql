{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_transfer',
    changed_on=['month', 'person_key'],
    skip_unchanged=true,
    indexes=[{'columns': ['month', 'person_key'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_changed_transfer') }}
with

spell as (
    select
        person_key,
        emp_uscc,
        in_force_from,
        coalesce(in_force_to, 'infinity'::date) as in_force_to
    from {{ ref('insurance_spell') }}
    where
        is_ever_in_force
        and insutype like '310%'
        and emp_uscc is not null
        and {{ only_changed('int_changed_transfer', ['person_key']) }}
),

elsewhere as (
    select
        member.month,
        member.person_key,
        member.org_code,
        member.employer_uscc,
        member.sender,
        member.admdvs,
        min(spell.emp_uscc collate "C") as insured_employer_uscc
    from {{ ref('member_month') }} as member
    inner join spell
        on
            member.person_key = spell.person_key
            and member.month >= spell.in_force_from
            and member.month < spell.in_force_to
            and member.employer_uscc <> spell.emp_uscc
    where {{ only_changed('int_changed_transfer', ['month', 'person_key'], 'member') }}
    group by member.month, member.person_key, member.org_code, member.employer_uscc, member.sender, member.admdvs
),

final as (
    select
        elsewhere.month,
        elsewhere.person_key,
        elsewhere.org_code,
        elsewhere.employer_uscc,
        elsewhere.insured_employer_uscc,
        {{ month_key('elsewhere.month') }} as month_key,
        elsewhere.sender,
        elsewhere.admdvs,
        region.name as region_name
    from elsewhere
    left join {{ ref('region') }} as region on elsewhere.admdvs = region.admdvs
    left join spell as here
        on
            elsewhere.person_key = here.person_key
            and elsewhere.employer_uscc = here.emp_uscc
            and elsewhere.month >= here.in_force_from
            and elsewhere.month < here.in_force_to
    where here.person_key is null
    order by elsewhere.month, elsewhere.person_key
)

select * from final
