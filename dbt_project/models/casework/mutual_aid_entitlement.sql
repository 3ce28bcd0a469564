{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_entitlement',
    changed_on=['person_key'],
    indexes=[{'columns': ['scheme_code', 'person_key'], 'unique': true}, {'columns': ['person_key']}],
) }}
-- depends_on: {{ ref('int_changed_entitlement') }}
with

scheme as (
    select
        *,
        string_to_array(replace(categories, ' ', ''), ',') as category_list
    from {{ ref('mutual_aid_scheme') }}
),

eligible as (
    select
        scheme.scheme_code,
        settlement.person_key,
        case scheme.base
            when 'medfee' then settlement.medfee_sumamt
            when 'psn_pay' then settlement.psn_pay
            when 'policy_self_pay' then settlement.policy_self_pay
        end as base
    from {{ ref('settlement') }} as settlement
    inner join scheme
        on
            settlement.setl_date between scheme.term_start and scheme.term_end
            and starts_with(settlement.insu_admdvs, coalesce(scheme.admdvs_prefix, ''))
            and settlement.category = any(scheme.category_list)
    inner join {{ ref('member_month') }} as member
        on
            settlement.person_key = member.person_key
            and settlement.setl_month = member.month
            and member.joined_on + scheme.waiting_days <= settlement.setl_date
    where
        settlement.is_net
        and settlement.insutype like '310%'
        and {{ only_changed('int_changed_entitlement', ['person_key'], 'settlement') }}
),

claim as (
    select
        scheme_code,
        person_key,
        count(*) as settlements,
        greatest(sum(base), 0) as base_amount
    from eligible
    group by scheme_code, person_key
),

over_deductible as (
    select
        claim.*,
        scheme.cap,
        scheme.name as scheme_name,
        scheme.admdvs_prefix,
        greatest(claim.base_amount - scheme.deductible, 0) as over
    from claim
    inner join scheme on claim.scheme_code = scheme.scheme_code
),

banded as (
    select
        over_deductible.scheme_code,
        over_deductible.person_key,
        -- an open band has no band_to: least() passes over it
        sum(
            greatest(least(over_deductible.over, band.band_to) - band.band_from, 0) * band.rate
        ) as aid_amount
    from over_deductible
    inner join {{ ref('mutual_aid_band') }} as band on over_deductible.scheme_code = band.scheme_code
    group by over_deductible.scheme_code, over_deductible.person_key
),

final as (
    select
        claim.scheme_code,
        claim.person_key,
        claim.settlements::integer as settlements,
        round(claim.base_amount, 2)::numeric(18, 2) as base_amount,
        round(least(claim.cap, banded.aid_amount), 2)::numeric(18, 2) as aid_amount,
        claim.scheme_name,
        rpad(nullif(claim.admdvs_prefix, ''), 6, '0') as admdvs
    from over_deductible as claim
    inner join banded on claim.scheme_code = banded.scheme_code and claim.person_key = banded.person_key
    where round(least(claim.cap, banded.aid_amount), 2) > 0
)

select * from final
