-- depends_on: {{ ref('int_delivery_changed') }}
{{ touched_events('stg_training__certificate', fact='certificate', source='training', keys=['certificate_no'],
    remember=['uuid person_key', 'date issued_on']) }}
