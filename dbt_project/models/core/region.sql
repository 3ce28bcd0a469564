{{ config(tags=['static'], indexes=[{'columns': ['admdvs'], 'unique': true}]) }}
{# The last name of each code; a code that is in no list has no row here. #}
with

division as (
    select distinct on (admdvs)
        admdvs,
        name,
        level,
        nullif(to_year, '')::smallint as last_year,
        standard
    from {{ ref('division') }}
    order by admdvs, coalesce(nullif(from_year, ''), '0') desc, coalesce(nullif(to_year, ''), '9999') desc
),

since as (
    select
        admdvs,
        min(nullif(from_year, ''))::smallint as first_year
    from {{ ref('division') }}
    group by admdvs
),

placed as (
    select
        division.*,
        since.first_year,
        case when division.admdvs <> '100000' then left(division.admdvs, 2) || '0000' end as province_admdvs,
        case
            when division.level = 'city' then division.admdvs
            when division.level in ('county', 'pool') and right(division.admdvs, 4) <> '9900'
                then left(division.admdvs, 4) || '00'
        end as city_admdvs
    from division
    left join since on division.admdvs = since.admdvs
),

final as (
    select
        placed.admdvs,
        placed.name,
        concat(
            province.name,
            case
                when placed.level <> 'province' and city.admdvs <> placed.admdvs and city.name not in ('市辖区', '县')
                    then city.name
            end,
            case when placed.level <> 'province' then placed.name end
        ) as full_name,
        placed.level,
        case placed.level
            when 'country' then '全国'
            when 'province' then '省级'
            when 'city' then '地级'
            when 'county' then '县级'
            when 'pool' then '医保本级统筹区'
        end as level_label,
        placed.province_admdvs,
        province.name as province_name,
        city.admdvs as city_admdvs,
        city.name as city_name,
        case
            when placed.level = 'country' then null
            when placed.level = 'province' then '100000'
            when city.admdvs is not null and city.admdvs <> placed.admdvs then city.admdvs
            else placed.province_admdvs
        end as parent_admdvs,
        placed.first_year,
        placed.last_year,
        placed.last_year is null as is_current,
        placed.standard
    from placed
    left join division as province on placed.province_admdvs = province.admdvs
    left join division as city on placed.city_admdvs = city.admdvs
)

select * from final
