-- depends_on: {{ ref('int_delivery_changed') }}
{{ touched_events('stg_training__enrolment', fact='enrolment', source='training', keys=['enrolment_id'],
    remember=['uuid person_key', 'date month']) }}
