{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_employment_spell',
    changed_on=['sender', 'spell_id'],
    indexes=[{'columns': ['sender', 'spell_id'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_changed_employment_spell') }}
with

register as (
    {{- latest_register_rows(
        'stg_employment__employment_spell',
        'employment',
        ['spell_id'],
        employment_deliveries_to_read(),
        only_changed('int_changed_employment_spell', ['sender', 'spell_id'], ['delivery.sender', 'register.spell_id']),
    ) }}
),

final as (
    select
        register.sender,
        register.spell_id,
        register.person_key,
        register.employment_form,
        employment_form.label as employment_form_label,
        register.employer_uscc,
        register.employer_name,
        register.occupation_code,
        register.admdvs,
        register.started_on,
        register.contract_kind,
        contract_kind.label as contract_kind_label,
        register.contract_to,
        register.ended_on,
        register.end_reason,
        end_reason.label as end_reason_label,
        register.updt_time,
        register.delivery_name
    from register
    left join {{ ref('employment_form') }} as employment_form on register.employment_form = employment_form.code
    left join {{ ref('labour_contract_kind') }} as contract_kind on register.contract_kind = contract_kind.code
    left join {{ ref('employment_end_reason') }} as end_reason on register.end_reason = end_reason.code
)

select * from final
