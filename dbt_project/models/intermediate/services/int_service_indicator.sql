{# Reform indicators of services, of each province. An entitlement is in the list of gaps unless exactly what is owed
   was paid. #}
with

last_month as (
    select month from {{ ref('int_month_covered') }}
    where is_last
),

entitlement as (
    select
        entitlement.scheme_code,
        entitlement.person_key,
        least(date_trunc('month', scheme.term_end)::date, last_month.month) as month,
        coalesce(gap.gap, 0) <= 0 as is_paid
    from {{ ref('mutual_aid_entitlement') }} as entitlement
    inner join {{ ref('mutual_aid_scheme') }} as scheme on entitlement.scheme_code = scheme.scheme_code
    left join {{ ref('mutual_aid_gap') }} as gap
        on entitlement.scheme_code = gap.scheme_code and entitlement.person_key = gap.person_key
    cross join last_month
),

final as (
    select
        'service_reach' as indicator,
        month,
        sender,
        sum(reached)::numeric as numerator,
        sum(members)::numeric as denominator
    from {{ ref('int_service_reach') }}
    where service_group = 'any'
    group by month, sender
    union all
    select
        'mutual_aid_paid_rate' as indicator,
        member.month,
        member.sender,
        count(*) filter (where entitlement.is_paid)::numeric as numerator,
        count(*)::numeric as denominator
    from entitlement
    inner join {{ ref('member_month') }} as member
        on entitlement.person_key = member.person_key and entitlement.month = member.month
    group by member.month, member.sender
)

select * from final
