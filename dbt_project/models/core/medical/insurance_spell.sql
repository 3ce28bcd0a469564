{{ config(
    materialized='incremental',
    incremental_strategy='replace_touched',
    touched='int_touched_spell',
    touched_on=['sender', 'psn_insu_rlts_id'],
    indexes=[
        {'columns': ['sender', 'psn_insu_rlts_id', 'valid_from'], 'unique': true},
        {'columns': ['person_key']},
    ],
) }}
-- depends_on: {{ ref('int_touched_spell') }}
{%- set to_read %}
    select delivery_id from {{ ref('int_delivery') }}
    where
        source = 'medical'
        {%- if is_incremental() %}
        and sender in (select sender from {{ ref('int_touched_spell') }})
        {%- endif %}
{%- endset %}
with

delivery as (
    select * from {{ ref('int_delivery') }}
    where source = 'medical'
),

-- what the register says at the end of each period: the last row of that period
insurance_row as (
    select distinct on (delivery.sender, insurance.psn_insu_rlts_id, delivery.month)
        delivery.sender,
        delivery.month,
        insurance.*
    from {{ ref('stg_medical__insurance') }} as insurance
    inner join delivery on insurance.delivery_id = delivery.delivery_id
    where
        {{ only_partitions_of(to_read, 'insurance') }}
        and {{ only_touched('int_touched_spell', ['sender', 'psn_insu_rlts_id'], ['delivery.sender', 'insurance.psn_insu_rlts_id']) }}
    order by delivery.sender, insurance.psn_insu_rlts_id, delivery.month, delivery.register_rank desc
),

person_row as (
    select distinct on (delivery.sender, person.psn_no, delivery.month)
        delivery.sender,
        delivery.month,
        person.psn_no,
        person.person_key
    from {{ ref('stg_medical__person') }} as person
    inner join delivery on person.delivery_id = delivery.delivery_id
    where
        {{ only_partitions_of(to_read, 'person') }}
        {%- if is_incremental() %}
        and (delivery.sender, person.psn_no) in (select sender, psn_no from insurance_row)
        {%- endif %}
    order by delivery.sender, person.psn_no, delivery.month, delivery.register_rank desc
),

-- rows that say again what was said before begin nothing new
insurance_news as (
    select
        *,
        (psn_no, emp_uscc, insutype, psn_type, psn_insu_stas, insu_admdvs, crt_insu_date, paus_insu_date)
        is distinct from
        lag((psn_no, emp_uscc, insutype, psn_type, psn_insu_stas, insu_admdvs, crt_insu_date, paus_insu_date))
            over (partition by sender, psn_insu_rlts_id order by month) as is_news
    from insurance_row
),

person_news as (
    select
        *,
        person_key is distinct from lag(person_key) over (partition by sender, psn_no order by month) as is_news
    from person_row
),

insurance_version as (
    select
        *,
        month as valid_from,
        lead(month, 1, 'infinity'::date) over (partition by sender, psn_insu_rlts_id order by month) as valid_to
    from insurance_news
    where is_news
),

person_version as (
    select
        sender,
        psn_no,
        person_key,
        month as valid_from,
        lead(month, 1, 'infinity'::date) over (partition by sender, psn_no order by month) as valid_to
    from person_news
    where is_news
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
            and person.valid_from < insurance.valid_to
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

final as (
    select
        in_force.sender,
        in_force.psn_insu_rlts_id,
        in_force.valid_from,
        nullif(in_force.valid_to, 'infinity'::date) as valid_to,
        in_force.person_key,
        in_force.insutype,
        insutype.label as insutype_label,
        in_force.psn_type,
        psn_type.label as psn_type_label,
        in_force.psn_insu_stas,
        psn_insu_stas.label as psn_insu_stas_label,
        in_force.crt_insu_date,
        in_force.paus_insu_date,
        in_force.emp_uscc,
        in_force.insu_admdvs,
        months.is_ever_in_force,
        case when months.is_ever_in_force then in_force.in_force_from end as in_force_from,
        case when months.is_ever_in_force then nullif(in_force.in_force_to, 'infinity'::date) end as in_force_to
    from in_force
    cross join lateral (
        select
            in_force.can_be_in_force
            and in_force.person_key is not null
            and in_force.in_force_from < in_force.in_force_to as is_ever_in_force
    ) as months
    left join {{ ref('insutype') }} as insutype on left(in_force.insutype, 3) = insutype.code
    left join {{ ref('psn_type') }} as psn_type on left(in_force.psn_type, 4) = psn_type.code
    left join {{ ref('psn_insu_stas') }} as psn_insu_stas on in_force.psn_insu_stas = psn_insu_stas.code
)

select * from final
