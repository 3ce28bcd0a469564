-- depends_on: {{ ref('int_delivery_changed') }}
{{ touched_events('stg_training__fund', fact='training_fund', source='training', keys=['employer_uscc', 'year'],
    remember=['text admdvs']) }}
