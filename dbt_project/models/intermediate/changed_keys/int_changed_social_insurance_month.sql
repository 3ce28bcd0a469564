-- depends_on: {{ ref('int_changed_delivery') }}
{{ changed_events('stg_employment__social_insurance_month', fact='social_insurance_month', source='employment',
    keys=['payment_id'], remember=['uuid person_key', 'date month']) }}
