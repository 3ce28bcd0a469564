{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_member_month',
    changed_on=['month', 'person_key'],
    skip_unchanged=true,
    indexes=[
        {'columns': ['person_key', 'month'], 'unique': true},
        {'columns': ['month', 'sender']},
    ],
) }}
-- depends_on: {{ ref('int_changed_member_month') }}
with

active as (
    select
        covered.month,
        covered.last_day,
        version.*
    from {{ ref('int_member_version') }} as version
    inner join {{ ref('int_month_covered') }} as covered
        on version.valid_from <= covered.month and version.valid_to > covered.month
    where
        version.status = '1'
        and version.joined_on <= covered.last_day
        and {{ only_changed(
            'int_changed_member_month', ['month', 'person_key'], ['covered.month', 'version.person_key']
        ) }}
        {%- if is_incremental() %}
        and version.valid_to > {{ first_month_of('int_changed_member_month') }}
        {%- endif %}
),

-- the one membership of a person, in the order of months, because most queries read one of them
membership as (
    select distinct on (month, person_key) *
    from active
    order by
        month asc, person_key asc,
        coalesce(status_changed_on, joined_on) desc, created desc, sender collate "C" desc, member_id collate "C" desc
),

final as (
    select
        membership.month,
        membership.person_key,
        membership.sender,
        membership.member_id,
        membership.org_code,
        coalesce(organisation.admdvs, membership.sender) as admdvs,
        coalesce(organisation.industry, 'unknown') as industry,
        coalesce(organisation.employer_nature, 'unknown') as employer_nature,
        organisation.employer_uscc,
        membership.sex,
        membership.birth_year,
        membership.joined_on,
        membership.status_changed_on,
        membership.education,
        membership.employment_status,
        membership.household_type,
        membership.new_form_type,
        coalesce(certified.skill_rank, registered.rank) as skill_rank,
        certified.skill_rank is not null as is_certified,
        coalesce(membership.sex = '2', false) as is_woman,
        coalesce(membership.is_migrant_worker, false) as is_migrant_worker,
        coalesce(membership.new_form_type <> '0', false) as is_new_form,
        membership.joined_on >= membership.month as is_joined_in_month,
        coalesce(coalesce(certified.skill_rank, registered.rank) >= 1, false) as is_skilled,
        coalesce(coalesce(certified.skill_rank, registered.rank) >= 3, false) as is_high_skilled,
        trained.person_key is not null as is_trained_12m
    from membership
    left join {{ ref('int_organisation_month') }} as organisation
        on
            membership.month = organisation.month
            and membership.sender = organisation.sender
            and membership.org_code = organisation.org_code
    left join {{ ref('int_person_skill') }} as certified
        on
            membership.person_key = certified.person_key
            and membership.month >= certified.valid_from
            and membership.month < certified.valid_to
    left join {{ ref('skill_level') }} as registered on membership.skill_level = registered.code
    left join {{ ref('int_person_training') }} as trained
        on
            membership.person_key = trained.person_key
            and membership.month >= trained.valid_from
            and membership.month < trained.valid_to
)

select * from final
