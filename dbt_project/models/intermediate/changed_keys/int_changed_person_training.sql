{# Months in which a class of a changed enrolment began, before or after the change: the 12-month windows from there
   on differ. #}
with

final as (
    select
        old_person_key as person_key,
        old_month as month
    from {{ ref('int_changed_enrolment') }}
    where old_person_key is not null
    union
    select
        enrolment.person_key,
        enrolment.month
    from {{ ref('enrolment') }} as enrolment
    inner join {{ ref('int_changed_enrolment') }} as changed_key
        on enrolment.sender = changed_key.sender and enrolment.enrolment_id = changed_key.enrolment_id
)

select * from final
