with

craftsman as (
    select distinct
        covered.month,
        honour.person_key
    from {{ ref('honour') }} as honour
    inner join {{ ref('int_month_covered') }} as covered
        on {{ is_held_on('honour', 'covered.last_day') }}
    where honour.honour_type = '4'
),

craftsmen as (
    select
        member.month,
        member.sender,
        count(*) as members
    from {{ ref('member_month') }} as member
    inner join craftsman on member.month = craftsman.month and member.person_key = craftsman.person_key
    group by member.month, member.sender
),

final as (
    select
        'craftsman_share' as indicator,
        member.month,
        member.sender,
        coalesce(craftsmen.members, 0)::numeric as numerator,
        member.high_skilled_members::numeric as denominator
    from {{ ref('int_member_summary_month') }} as member
    left join craftsmen on member.month = craftsmen.month and member.sender = craftsmen.sender
)

select * from final
