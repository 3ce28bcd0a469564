{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_spell',
    changed_on=['sender', 'psn_insu_rlts_id'],
    indexes=[
        {'columns': ['sender', 'psn_insu_rlts_id', 'valid_from'], 'unique': true},
        {'columns': ['person_key']},
    ],
) }}
-- depends_on: {{ ref('int_changed_spell') }}
{% set changed_senders -%}
and sender in (select sender from {{ ref('int_changed_spell') }})
{%- endset %}
{%- set to_read %}
    select delivery_id from {{ ref('int_delivery') }}
    where source = 'medical' {{ changed_senders if is_incremental() }}
{%- endset %}
with

insurance_version as (
    {{- delta_versions(
        'stg_medical__insurance',
        'medical',
        ['psn_insu_rlts_id'],
        ['psn_no', 'emp_uscc', 'insutype', 'psn_type', 'psn_insu_stas', 'insu_admdvs', 'crt_insu_date', 'paus_insu_date'],
        to_read,
        only_changed(
            'int_changed_spell', ['sender', 'psn_insu_rlts_id'], ['delivery.sender', 'register.psn_insu_rlts_id']
        ),
    ) }}
),

person_version as (
    {{- delta_versions(
        'stg_medical__person',
        'medical',
        ['psn_no'],
        ['person_key'],
        to_read,
        '(delivery.sender, register.psn_no) in (select sender, psn_no from insurance_version)' if is_incremental() else 'true',
    ) }}
),

spell as (
    select
        insurance.sender,
        insurance.psn_insu_rlts_id,
        greatest(insurance.valid_from, person.valid_from) as valid_from,
        least(insurance.valid_to, person.valid_to) as valid_to,
        person.person_key,
        insurance.insutype,
        insurance.psn_type,
        insurance.psn_insu_stas,
        insurance.crt_insu_date,
        insurance.paus_insu_date,
        insurance.emp_uscc,
        insurance.insu_admdvs
    from insurance_version as insurance
    left join person_version as person
        on
            insurance.sender = person.sender
            and insurance.psn_no = person.psn_no
            and insurance.valid_from < person.valid_to
            and insurance.valid_to > person.valid_from
),

-- in force at a month's last day, in months: begun in the month at the latest, paused in a later one
in_force as (
    select
        *,
        greatest(valid_from, date_trunc('month', crt_insu_date)::date) as in_force_from,
        least(valid_to, date_trunc('month', paus_insu_date)::date) as in_force_to,
        psn_insu_stas = '1' or (psn_insu_stas = '2' and paus_insu_date is not null) as can_be_in_force
    from spell
),

judged as (
    select
        *,
        can_be_in_force and person_key is not null and in_force_from < in_force_to as is_ever_in_force
    from in_force
),

final as (
    select
        judged.sender,
        judged.psn_insu_rlts_id,
        judged.valid_from,
        nullif(judged.valid_to, 'infinity'::date) as valid_to,
        judged.person_key,
        judged.insutype,
        insutype.label as insutype_label,
        judged.psn_type,
        psn_type.label as psn_type_label,
        judged.psn_insu_stas,
        psn_insu_stas.label as psn_insu_stas_label,
        judged.crt_insu_date,
        judged.paus_insu_date,
        judged.emp_uscc,
        judged.insu_admdvs,
        judged.is_ever_in_force,
        case when judged.is_ever_in_force then judged.in_force_from end as in_force_from,
        case when judged.is_ever_in_force then nullif(judged.in_force_to, 'infinity'::date) end as in_force_to
    from judged
    left join {{ ref('insutype') }} as insutype on left(judged.insutype, 3) = insutype.code
    left join {{ ref('psn_type') }} as psn_type on left(judged.psn_type, 4) = psn_type.code
    left join {{ ref('psn_insu_stas') }} as psn_insu_stas on judged.psn_insu_stas = psn_insu_stas.code
)

select * from final
