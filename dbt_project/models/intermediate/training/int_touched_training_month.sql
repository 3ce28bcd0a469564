with

final as (
    select month from {{ ref('int_touched_month') }}
    union
    select old_month as month
    from {{ ref('int_touched_enrolment') }}
    where old_month is not null
    union
    select enrolment.month
    from {{ ref('enrolment') }} as enrolment
    inner join {{ ref('int_touched_enrolment') }} as touched
        on enrolment.sender = touched.sender and enrolment.enrolment_id = touched.enrolment_id
)

select * from final
