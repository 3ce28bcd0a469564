{{ config(
    indexes=[{'columns': ['institution_key'], 'unique': true}, {'columns': ['fixmedins_code']}],
) }}
with

delivered as (
    select
        institution.*,
        delivery.event_rank
    from {{ ref('int_institution_by_delivery') }} as institution
    inner join {{ ref('int_delivery') }} as delivery on institution.delivery_id = delivery.delivery_id
),

-- name and level as given by the last delivery that gives them
latest as (
    select
        institution_key,
        min(fixmedins_code) as fixmedins_code,
        min(sender) as least_sender,
        (array_agg(institution_name order by event_rank desc) filter (where institution_name is not null))[1]
            as institution_name,
        (array_agg(hosp_lv order by event_rank desc) filter (where hosp_lv is not null))[1] as hosp_lv
    from delivered
    group by institution_key
),

recognised as (
    select
        *,
        fixmedins_code ~ '^[HP][0-9]{11}$' as is_national
    from latest
),

final as (
    select
        institution_key,
        fixmedins_code,
        institution_name,
        is_national,
        case when is_national then '100000' else least_sender end as code_owner,
        case when is_national then left(fixmedins_code, 1) end as institution_type,
        case
            when not is_national then '地方编号'
            when left(fixmedins_code, 1) = 'H' then '医疗机构'
            else '零售药店'
        end as institution_type_label,
        case when is_national then substring(fixmedins_code from 2 for 6) end as admdvs,
        hosp_lv
    from recognised
)

select * from final
