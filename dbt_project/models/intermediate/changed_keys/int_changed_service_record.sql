-- depends_on: {{ ref('int_changed_delivery') }}
{{ changed_events('stg_services__service_record', fact='service_record', source='services', keys=['record_id'],
    remember=['uuid person_key', 'date month', 'text service_type']) }}
