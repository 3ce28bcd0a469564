{{ config(indexes=[{'columns': ['year', 'sender', 'contest_kind', 'contest_level'], 'unique': true}]) }}
with

won as (
    select
        sender,
        contest_no,
        count(*) as honours
    from {{ ref('honour') }}
    where contest_no is not null and status <> '0'
    group by sender, contest_no
),

counted as (
    select
        date_part('year', contest.started_on)::smallint as year,
        contest.sender,
        contest.contest_kind,
        contest.contest_level,
        count(*) as contests,
        coalesce(sum(contest.units), 0) as units,
        coalesce(sum(contest.participants), 0) as participants,
        coalesce(sum(contest.frontline_participants), 0) as frontline_participants,
        coalesce(sum(contest.winners), 0) as winners,
        coalesce(sum(contest.promoted), 0) as promoted,
        coalesce(sum(contest.spent), 0) as spent,
        coalesce(sum(won.honours), 0) as honours
    from {{ ref('contest') }} as contest
    left join won on contest.sender = won.sender and contest.contest_no = won.contest_no
    group by date_part('year', contest.started_on), contest.sender, contest.contest_kind, contest.contest_level
),

final as (
    select
        counted.year,
        counted.sender,
        counted.contest_kind,
        counted.contest_level,
        counted.contests::integer as contests,
        counted.units::bigint as units,
        counted.participants::bigint as participants,
        counted.frontline_participants::bigint as frontline_participants,
        counted.winners::bigint as winners,
        counted.promoted::bigint as promoted,
        round(counted.spent, 2)::numeric(18, 2) as spent,
        counted.honours::integer as honours,
        sender.name as sender_name,
        contest_kind.label as contest_kind_label,
        contest_level.label as contest_level_label
    from counted
    left join {{ ref('region') }} as sender on counted.sender = sender.admdvs
    left join {{ ref('contest_kind') }} as contest_kind on counted.contest_kind = contest_kind.code
    left join {{ ref('honour_level') }} as contest_level on counted.contest_level = contest_level.code
)

select * from final
