{# (month, sender) of service_month that may differ: where changed services were or are, and where persons whose
   membership may differ were served. #}
{{ config(indexes=[{'columns': ['month', 'sender'], 'unique': true}]) }}
with

final as (
    select
        old_month as month,
        sender
    from {{ ref('int_changed_service_record') }}
    where old_month is not null
    union
    select
        service.month,
        service.sender
    from {{ ref('service_record') }} as service
    inner join {{ ref('int_changed_service_record') }} as changed_key
        on service.sender = changed_key.sender and service.record_id = changed_key.record_id
    union
    select
        service.month,
        service.sender
    from {{ ref('service_record') }} as service
    inner join {{ ref('int_changed_member_month') }} as changed_key
        on service.person_key = changed_key.person_key and service.month = changed_key.month
    where {{ only_months_of('int_changed_member_month', 'service.month') }}
)

select * from final
