{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_training_fund',
    changed_on=['sender', 'employer_uscc', 'year'],
    changed_where='changed_key.is_current',
    indexes=[{'columns': ['sender', 'employer_uscc', 'year'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_training_fund') }}
with

event as ({{ latest_events('stg_training__fund', 'training', ['employer_uscc', 'year'], 'int_changed_training_fund') }}
),

final as (
    select
        event.sender,
        event.employer_uscc,
        event.year,
        event.employer_name,
        event.admdvs,
        event.wages_total,
        event.accrued,
        event.carried_in,
        event.spent,
        event.frontline_spent,
        event.trainees,
        event.frontline_trainees,
        event.spent > 0 and event.frontline_spent >= 0.60 * event.spent as is_compliant,
        event.delivery_name
    from event
)

select * from final
