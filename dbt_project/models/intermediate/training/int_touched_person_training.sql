{# Months in which the 12-month window of a person's enrolments changed: from the month an enrolment started in, 12. #}
with

final as (
    select
        old_person_key as person_key,
        old_month as month
    from {{ ref('int_touched_enrolment') }}
    where old_person_key is not null
    union
    select
        enrolment.person_key,
        enrolment.month
    from {{ ref('enrolment') }} as enrolment
    inner join {{ ref('int_touched_enrolment') }} as touched
        on enrolment.sender = touched.sender and enrolment.enrolment_id = touched.enrolment_id
)

select * from final
