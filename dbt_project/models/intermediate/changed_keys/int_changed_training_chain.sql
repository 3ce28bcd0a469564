{{ config(indexes=[{'columns': ['month'], 'unique': true}]) }}
{# Months in which a training ended, of which the cohort, or what became of it within six months, may differ. #}
with

-- who may differ, in the cohorts of which months
person as (
    select
        person_key,
        month as first_month,
        month as last_month
    from {{ ref('int_changed_member_month') }}
    union
    select
        person_key,
        (month - interval '6 months')::date as first_month,
        (month - interval '6 months')::date as last_month
    from {{ ref('int_changed_employment_month') }}
    union
    select
        person_key,
        (month - interval '6 months')::date as first_month,
        (month - interval '6 months')::date as last_month
    from {{ ref('int_changed_paid_month') }}
    union
    -- a certificate counts for trainings that ended up to six months before it
    select
        person_key,
        (from_month - interval '6 months')::date as first_month,
        'infinity'::date as last_month
    from {{ ref('int_changed_person_skill') }}
),

final as (
    select date_trunc('month', old_ended_on)::date as month
    from {{ ref('int_changed_enrolment') }}
    where old_ended_on is not null
    union
    select date_trunc('month', enrolment.ended_on)::date
    from {{ ref('enrolment') }} as enrolment
    inner join {{ ref('int_changed_enrolment') }} as changed_key
        on enrolment.sender = changed_key.sender and enrolment.enrolment_id = changed_key.enrolment_id
    where enrolment.ended_on is not null
    union
    select date_trunc('month', enrolment.ended_on)::date
    from {{ ref('enrolment') }} as enrolment
    inner join person
        on
            enrolment.person_key = person.person_key
            and date_trunc('month', enrolment.ended_on)::date between person.first_month and person.last_month
    union
    select asked.month
    from {{ ref('int_build') }} as build
    cross join unnest(build.months_asked) as asked (month)
)

select * from final
