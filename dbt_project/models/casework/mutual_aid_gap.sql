{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_gap',
    changed_on=['person_key'],
    indexes=[{'columns': ['scheme_code', 'person_key'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_changed_gap') }}
with

owed as (
    select
        scheme_code,
        person_key,
        aid_amount
    from {{ ref('mutual_aid_entitlement') }}
    where {{ only_changed('int_changed_gap', ['person_key']) }}
),

paid as (
    select
        service.scheme_code,
        service.person_key,
        coalesce(sum(service.amount), 0) as paid_amount,
        min(service.served_on) as first_paid_on
    from {{ ref('service_record') }} as service
    inner join {{ ref('mutual_aid_scheme') }} as scheme on service.scheme_code = scheme.scheme_code
    where
        service.is_valid
        and service.service_type = '{{ mutual_aid_service() }}'
        and service.person_key is not null
        and {{ only_changed('int_changed_gap', ['person_key'], 'service') }}
    group by service.scheme_code, service.person_key
),

compared as (
    select
        scheme_code,
        person_key,
        coalesce(owed.aid_amount, 0) as aid_amount,
        coalesce(paid.paid_amount, 0) as paid_amount,
        paid.first_paid_on
    from owed
    full outer join paid using (scheme_code, person_key)
),

final as (
    select
        compared.scheme_code,
        compared.person_key,
        compared.aid_amount::numeric(18, 2) as aid_amount,
        compared.paid_amount::numeric(18, 2) as paid_amount,
        (compared.aid_amount - compared.paid_amount)::numeric(18, 2) as gap,
        compared.first_paid_on,
        scheme.name as scheme_name,
        rpad(nullif(scheme.admdvs_prefix, ''), 6, '0') as admdvs
    from compared
    left join {{ ref('mutual_aid_scheme') }} as scheme on compared.scheme_code = scheme.scheme_code
    where compared.aid_amount <> compared.paid_amount
)

select * from final
