{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_training_chain',
    changed_on=['month'],
) }}
-- depends_on: {{ ref('int_changed_training_chain') }}
{# Every month has its cells here, also where six months later are not covered yet. #}
with

cohort as (
    select
        month,
        sender,
        training_type,
        person_key,
        ended_on
    from {{ ref('int_training_cohort') }}
    where {{ only_changed('int_changed_training_chain', ['month']) }}
),

trained as (
    select * from cohort
    union all
    select
        month,
        sender,
        'all' as training_type,
        person_key,
        min(ended_on) as ended_on
    from cohort
    group by month, sender, person_key
),

trained_until as (
    select
        *,
        (month + interval '6 months')::date as last_month,
        (month + interval '7 months' - interval '1 day')::date as last_day
    from trained
),

certified as (
    select distinct
        trained.month,
        trained.sender,
        trained.training_type,
        trained.person_key
    from trained_until as trained
    inner join {{ ref('certificate') }} as certificate
        on
            trained.person_key = certificate.person_key
            and certificate.issued_on between trained.ended_on and trained.last_day
    where certificate.is_counted
),

outcome as (
    select
        trained.month,
        trained.sender,
        trained.training_type,
        member.person_key is not null as is_member,
        certified.person_key is not null as is_certified,
        employment.person_key is not null as is_employed,
        coalesce(paid.is_pension, false) as is_insured
    from trained_until as trained
    left join certified
        on
            trained.person_key = certified.person_key
            and trained.month = certified.month
            and trained.sender = certified.sender
            and trained.training_type = certified.training_type
    left join {{ ref('member_month') }} as member
        on
            trained.person_key = member.person_key
            and trained.month = member.month
            and {{ in_changed_months('int_changed_training_chain', 'member.month') }}
    left join {{ ref('int_employment_month') }} as employment
        on trained.person_key = employment.person_key and trained.last_month = employment.month
    left join {{ ref('int_paid_month') }} as paid
        on trained.person_key = paid.person_key and trained.last_month = paid.month
),

final as (
    select
        month,
        sender,
        training_type,
        count(*) as trained,
        count(*) filter (where is_member) as member_persons,
        count(*) filter (where is_certified) as certified,
        count(*) filter (where is_employed) as employed,
        count(*) filter (where is_insured) as insured,
        count(*) filter (where is_certified and is_employed) as certified_employed,
        count(*) filter (where is_certified and is_employed and is_insured) as certified_employed_insured
    from outcome
    group by month, sender, training_type
)

select * from final
