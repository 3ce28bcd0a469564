{{ config(indexes=[{'columns': ['institution_key'], 'unique': true}, {'columns': ['fixmedins_code']}]) }}
with

sighting as (
    select
        sighting.*,
        delivery.event_rank
    from {{ ref('int_institution_sighting') }} as sighting
    inner join {{ ref('int_delivery') }} as delivery on sighting.delivery_id = delivery.delivery_id
),

-- as the last delivery that says something writes it
latest as (
    select
        institution_key,
        min(fixmedins_code) as fixmedins_code,
        min(sender) as least_sender,
        (array_agg(institution_name order by event_rank desc) filter (where institution_name is not null))[1]
            as institution_name,
        (array_agg(hosp_lv order by event_rank desc) filter (where hosp_lv is not null))[1] as hosp_lv
    from sighting
    group by institution_key
),

final as (
    select
        latest.institution_key,
        latest.fixmedins_code,
        latest.institution_name,
        national.is_national,
        case when national.is_national then '100000' else latest.least_sender end as code_owner,
        case when national.is_national then left(latest.fixmedins_code, 1) end as institution_type,
        case
            when not national.is_national then '地方编号'
            when left(latest.fixmedins_code, 1) = 'H' then '医疗机构'
            else '零售药店'
        end as institution_type_label,
        case when national.is_national then substring(latest.fixmedins_code from 2 for 6) end as admdvs,
        latest.hosp_lv
    from latest
    cross join lateral (select latest.fixmedins_code ~ '^[HP][0-9]{11}$' as is_national) as national
)

select * from final
