{{ config(
    indexes=[{'columns': ['month', 'sender', 'admdvs', 'studio_level'], 'unique': true}, {'columns': ['month']}],
) }}
with

-- leaders who hold an honour of model worker, advanced worker, May Day medal or craftsman
honoured as (
    select distinct
        covered.month,
        honour.person_key
    from {{ ref('honour') }} as honour
    inner join {{ ref('int_month_covered') }} as covered on {{ is_held_on('honour', 'covered.last_day') }}
    where
        honour.honour_type in ('1', '2', '3', '4')
        and honour.person_key in (select version.person_key from {{ ref('int_studio_version') }} as version)
),

studio as (
    select
        covered.month,
        version.sender,
        version.admdvs,
        version.studio_level,
        version.alliance_no,
        version.members,
        version.projects,
        version.achievements,
        version.patents,
        version.trained,
        version.funded_amount,
        -- these five are counted since 1 January of the year of the row's own period
        date_part('year', version.month) = date_part('year', covered.month) as is_of_the_year,
        honoured.person_key is not null as has_honoured_leader
    from {{ ref('int_studio_version') }} as version
    inner join {{ ref('int_month_covered') }} as covered
        on version.valid_from <= covered.month and version.valid_to > covered.month
    left join honoured on covered.month = honoured.month and version.person_key = honoured.person_key
    where version.status in ('1', '2') and version.named_on <= covered.last_day
),

counted as (
    select
        month,
        sender,
        admdvs,
        studio_level,
        count(*) as studios,
        count(alliance_no) as in_alliance,
        count(distinct alliance_no) as alliances,
        count(*) filter (where has_honoured_leader) as honoured_leaders,
        coalesce(sum(members), 0) as members,
        coalesce(sum(projects) filter (where is_of_the_year), 0) as projects,
        coalesce(sum(achievements) filter (where is_of_the_year), 0) as achievements,
        coalesce(sum(patents) filter (where is_of_the_year), 0) as patents,
        coalesce(sum(trained) filter (where is_of_the_year), 0) as trained,
        coalesce(sum(funded_amount) filter (where is_of_the_year), 0) as funded_amount
    from studio
    group by month, sender, admdvs, studio_level
),

final as (
    select
        counted.month,
        counted.sender,
        counted.admdvs,
        counted.studio_level,
        counted.studios::integer as studios,
        counted.in_alliance::integer as in_alliance,
        counted.alliances::integer as alliances,
        counted.honoured_leaders::integer as honoured_leaders,
        counted.members::bigint as members,
        counted.projects::bigint as projects,
        counted.achievements::bigint as achievements,
        counted.patents::bigint as patents,
        counted.trained::bigint as trained,
        round(counted.funded_amount, 2)::numeric(18, 2) as funded_amount,
        {{ month_key('counted.month') }} as month_key,
        sender.name as sender_name,
        region.name as region_name,
        studio_level.label as studio_level_label
    from counted
    left join {{ ref('region') }} as sender on counted.sender = sender.admdvs
    left join {{ ref('region') }} as region on counted.admdvs = region.admdvs
    left join {{ ref('honour_level') }} as studio_level on counted.studio_level = studio_level.code
)

select * from final
