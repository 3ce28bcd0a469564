-- depends_on: {{ ref('int_changed_delivery') }}
{{ changed_events('stg_training__fund', fact='training_fund', source='training', keys=['employer_uscc', 'year'],
    remember=['text admdvs']) }}
