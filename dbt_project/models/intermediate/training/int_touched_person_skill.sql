{# Persons whose certificates changed, with the first month that feels it. #}
with

touched as (
    select
        old_person_key as person_key,
        old_issued_on as issued_on
    from {{ ref('int_touched_certificate') }}
    where old_person_key is not null
    union all
    select
        certificate.person_key,
        certificate.issued_on
    from {{ ref('certificate') }} as certificate
    inner join {{ ref('int_touched_certificate') }} as touched
        on certificate.sender = touched.sender and certificate.certificate_no = touched.certificate_no
),

final as (
    select
        person_key,
        date_trunc('month', min(issued_on))::date as from_month
    from touched
    group by person_key
)

select * from final
