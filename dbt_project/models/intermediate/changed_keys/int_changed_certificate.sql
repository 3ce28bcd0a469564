-- depends_on: {{ ref('int_changed_delivery') }}
{{ changed_events('stg_training__certificate', fact='certificate', source='training', keys=['certificate_no'],
    remember=['uuid person_key', 'date issued_on']) }}
