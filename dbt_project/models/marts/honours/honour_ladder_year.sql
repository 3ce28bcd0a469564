{{ config(indexes=[{'columns': ['year', 'sender', 'honour_type', 'honour_level'], 'unique': true}]) }}
with

-- a year ends on 31 December, the last one with the last month covered
covered_year as (
    select
        extract(year from month)::smallint as year,
        max(month) as last_month,
        max(last_day) as last_day
    from {{ ref('int_month_covered') }}
    group by extract(year from month)
),

granted as (
    select
        covered.year,
        honour.sender,
        honour.honour_type,
        honour.honour_level,
        count(*) as honours
    from {{ ref('honour') }} as honour
    inner join covered_year as covered on date_part('year', honour.granted_on) = covered.year
    where honour.granted_on <= covered.last_day
    group by covered.year, honour.sender, honour.honour_type, honour.honour_level
),

holder as (
    select distinct
        covered.year,
        covered.last_month,
        honour.sender,
        honour.honour_type,
        honour.honour_level,
        honour.person_key
    from {{ ref('honour') }} as honour
    inner join covered_year as covered on {{ is_held_on('honour', 'covered.last_day') }}
),

-- of one type the highest level of a person over all senders, which is the smallest code
ranked as (
    select
        holder.*,
        member.person_key is not null as is_member,
        row_number() over (
            partition by holder.year, holder.honour_type, holder.person_key
            order by holder.honour_level collate "C", holder.sender collate "C"
        ) = 1 as is_top
    from holder
    left join {{ ref('member_month') }} as member
        on holder.last_month = member.month and holder.person_key = member.person_key
),

held as (
    select
        year,
        sender,
        honour_type,
        honour_level,
        count(*) as holders,
        count(*) filter (where is_top) as top_holders,
        count(*) filter (where is_member) as member_holders
    from ranked
    group by year, sender, honour_type, honour_level
),

counted as (
    select
        year,
        sender,
        honour_type,
        honour_level,
        coalesce(granted.honours, 0) as granted,
        coalesce(held.holders, 0) as holders,
        coalesce(held.top_holders, 0) as top_holders,
        coalesce(held.member_holders, 0) as member_holders
    from granted
    full outer join held using (year, sender, honour_type, honour_level)
),

final as (
    select
        counted.year,
        counted.sender,
        counted.honour_type,
        counted.honour_level,
        counted.granted::integer as granted,
        counted.holders::integer as holders,
        counted.top_holders::integer as top_holders,
        counted.member_holders::integer as member_holders,
        sender.name as sender_name,
        honour_type.label as honour_type_label,
        honour_level.label as honour_level_label
    from counted
    left join {{ ref('region') }} as sender on counted.sender = sender.admdvs
    left join {{ ref('honour_type') }} as honour_type on counted.honour_type = honour_type.code
    left join {{ ref('honour_level') }} as honour_level on counted.honour_level = honour_level.code
)

select * from final
