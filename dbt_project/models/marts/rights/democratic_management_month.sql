{{ config(
    indexes=[
        {'columns': ['month', 'sender', 'admdvs', 'employer_nature', 'regime'], 'unique': true},
        {'columns': ['admdvs', 'month']},
    ],
) }}
with

base_organisation as (
    select * from {{ ref('int_organisation_month') }}
    where is_base
),

combination as (
    select
        month,
        sender,
        admdvs,
        employer_nature,
        count(*) as organisations
    from base_organisation
    group by month, sender, admdvs, employer_nature
),

regime_flag as (
    select
        month,
        sender,
        org_code,
        admdvs,
        employer_nature,
        '1' as regime,
        coalesce(has_workers_congress, false) as has_flag
    from base_organisation
    union all
    select
        month,
        sender,
        org_code,
        admdvs,
        employer_nature,
        '21' as regime,
        coalesce(has_open_affairs, false) as has_flag
    from base_organisation
),

-- What each source says of a cell, its measures side by side. They are added up and not joined: the cells are known
-- only once they are counted, and a join of counted rows is planned without knowing how many there are.
contribution as (
    -- the forms of "1+2" are asked of everybody, the others appear where they are
    select
        combination.month,
        combination.sender,
        combination.admdvs,
        combination.employer_nature,
        kind.code as regime,
        combination.organisations,
        0 as established,
        0 as held,
        0 as representatives,
        0 as attended,
        0 as proposals,
        0 as proposals_closed,
        null::integer as flag_only,
        null::integer as list_only
    from combination
    inner join {{ ref('regime_kind') }} as kind on kind.regime_class in ('1', '2')
    union all
    select
        month,
        sender,
        admdvs,
        employer_nature,
        regime,
        null as organisations,
        1 as established,
        is_held::integer as held,
        case when is_held then representatives end as representatives,
        case when is_held then attended end as attended,
        case when is_held then proposals end as proposals,
        case when is_held then proposals_closed end as proposals_closed,
        null as flag_only,
        null as list_only
    from {{ ref('int_regime_month') }}
    union all
    select
        regime_flag.month,
        regime_flag.sender,
        regime_flag.admdvs,
        regime_flag.employer_nature,
        regime_flag.regime,
        null as organisations,
        0 as established,
        0 as held,
        0 as representatives,
        0 as attended,
        0 as proposals,
        0 as proposals_closed,
        (regime_flag.has_flag and listed.org_code is null)::integer as flag_only,
        (not regime_flag.has_flag and listed.org_code is not null)::integer as list_only
    from regime_flag
    left join {{ ref('int_regime_month') }} as listed
        on
            regime_flag.month = listed.month
            and regime_flag.sender = listed.sender
            and regime_flag.org_code = listed.org_code
            and regime_flag.regime = listed.regime
),

cell as (
    select
        month,
        sender,
        admdvs,
        employer_nature,
        regime,
        max(max(organisations)) over (partition by month, sender, admdvs, employer_nature) as organisations,
        sum(established) as established,
        coalesce(sum(held), 0) as held,
        coalesce(sum(representatives), 0) as representatives,
        coalesce(sum(attended), 0) as attended,
        coalesce(sum(proposals), 0) as proposals,
        coalesce(sum(proposals_closed), 0) as proposals_closed,
        sum(flag_only) as flag_only,
        sum(list_only) as list_only
    from contribution
    group by month, sender, admdvs, employer_nature, regime
),

combined as (
    -- a regime of an organisation that is no base organisation of the month has no cell
    select * from cell
    where organisations is not null
),

final as (
    select
        combined.month,
        combined.sender,
        combined.admdvs,
        combined.employer_nature,
        combined.regime,
        combined.organisations::integer as organisations,
        combined.established::integer as established,
        combined.held::integer as held,
        combined.representatives::bigint as representatives,
        combined.attended::bigint as attended,
        combined.proposals::bigint as proposals,
        combined.proposals_closed::bigint as proposals_closed,
        combined.flag_only::integer as flag_only,
        combined.list_only::integer as list_only,
        {{ share('combined.established', 'combined.organisations') }} as established_rate,
        {{ share('combined.held', 'combined.established') }} as held_rate,
        {{ month_key('combined.month') }} as month_key,
        sender.name as sender_name,
        region.name as region_name,
        case when combined.employer_nature = 'unknown' then '未知' else nature.label end as employer_nature_label,
        kind.label as regime_label,
        kind.regime_class
    from combined
    left join {{ ref('region') }} as sender on combined.sender = sender.admdvs
    left join {{ ref('region') }} as region on combined.admdvs = region.admdvs
    left join {{ ref('employer_nature') }} as nature on combined.employer_nature = nature.code
    left join {{ ref('regime_kind') }} as kind on combined.regime = kind.code
)

select * from final
