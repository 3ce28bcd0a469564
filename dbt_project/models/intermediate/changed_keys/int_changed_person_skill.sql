{# Persons whose certificates changed, with the first month that differs. #}
with

changed_key as (
    select
        old_person_key as person_key,
        old_issued_on as issued_on
    from {{ ref('int_changed_certificate') }}
    where old_person_key is not null
    union all
    select
        certificate.person_key,
        certificate.issued_on
    from {{ ref('certificate') }} as certificate
    inner join {{ ref('int_changed_certificate') }} as changed_key
        on certificate.sender = changed_key.sender and certificate.certificate_no = changed_key.certificate_no
),

final as (
    select
        person_key,
        date_trunc('month', min(issued_on))::date as from_month
    from changed_key
    group by person_key
)

select * from final
