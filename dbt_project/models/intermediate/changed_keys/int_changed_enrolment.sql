-- depends_on: {{ ref('int_changed_delivery') }}
{{ changed_events('stg_training__enrolment', fact='enrolment', source='training', keys=['enrolment_id'],
    remember=['uuid person_key', 'date month', 'date ended_on']) }}
