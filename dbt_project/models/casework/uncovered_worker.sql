{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_uncovered',
    changed_on=['month', 'person_key'],
    skip_unchanged=true,
    indexes=[{'columns': ['month', 'person_key'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_changed_uncovered') }}
{% set months_to_read %}
    select month from {{ ref('int_changed_uncovered') }}
    union
    select (month - interval '1 month')::date from {{ ref('int_changed_uncovered') }}
{% endset -%}
with

-- months of which a contribution says that the person is covered
paid as (
    select
        person_key,
        month
    from {{ ref('int_paid_month') }}
    where
        is_employer_paid
        {%- if is_incremental() %}
        and {{ only_literals('month', months_to_read, ref('int_changed_uncovered')) }}
        {%- endif %}
),

-- at work for an employer that the sender knows, which reports contributions for the month
worker as (
    select
        member.month,
        member.person_key,
        member.org_code,
        member.sender,
        member.admdvs,
        min(spell.employer_uscc collate "C") as employer_uscc,
        min(spell.started_on) as started_on
    from {{ ref('member_month') }} as member
    inner join {{ ref('int_employment_version') }} as spell
        on
            member.person_key = spell.person_key
            and member.month >= spell.employed_from
            and member.month < spell.employed_to
    inner join {{ ref('int_paying_sender_month') }} as paying
        on member.month = paying.month and spell.sender = paying.sender
    where
        spell.employment_form = '1'
        and spell.employer_uscc is not null
        and {{ only_changed('int_changed_uncovered', ['month', 'person_key'], 'member') }}
    group by member.month, member.person_key, member.org_code, member.sender, member.admdvs
),

uncovered as (
    select worker.*
    from worker
    left join paid as this_month
        on worker.person_key = this_month.person_key and worker.month = this_month.month
    left join paid as month_before
        on
            worker.person_key = month_before.person_key
            and worker.month = (month_before.month + interval '1 month')::date
    where this_month.person_key is null and month_before.person_key is null
),

final as (
    select
        uncovered.month,
        uncovered.person_key,
        uncovered.org_code,
        uncovered.employer_uscc,
        uncovered.started_on,
        -- asked for one by one, because few are uncovered
        (
            select max(before.month)
            from {{ ref('int_paid_month') }} as before
            where
                before.is_employer_paid
                and before.person_key = uncovered.person_key
                and before.month < uncovered.month
        ) as last_paid_month,
        {{ month_key('uncovered.month') }} as month_key,
        uncovered.sender,
        uncovered.admdvs,
        region.name as region_name
    from uncovered
    left join {{ ref('region') }} as region on uncovered.admdvs = region.admdvs
    order by uncovered.month, uncovered.person_key
)

select * from final
