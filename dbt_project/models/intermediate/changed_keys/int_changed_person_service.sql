{# Months in which a person had a changed service, before or after the change, with the type of the service. Services
   without a person reach nobody that could be counted. #}
{{ config(indexes=[{'columns': ['person_key']}]) }}
with

final as (
    select
        old_person_key as person_key,
        old_month as month,
        old_service_type as service_type
    from {{ ref('int_changed_service_record') }}
    where old_person_key is not null
    union
    select
        service.person_key,
        service.month,
        service.service_type
    from {{ ref('service_record') }} as service
    inner join {{ ref('int_changed_service_record') }} as changed_key
        on service.sender = changed_key.sender and service.record_id = changed_key.record_id
    where service.person_key is not null
)

select * from final
