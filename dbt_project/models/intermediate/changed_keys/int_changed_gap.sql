{# Persons whose mutual aid, owed or paid, may differ. #}
with

final as (
    select person_key from {{ ref('int_changed_entitlement') }}
    union
    select person_key from {{ ref('int_changed_person_service') }}
    where service_type = '{{ mutual_aid_service() }}'
)

select * from final
