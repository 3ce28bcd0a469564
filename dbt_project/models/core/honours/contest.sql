{{ config(indexes=[{'columns': ['sender', 'contest_no'], 'unique': true}]) }}
with

event as ({{ latest_events('stg_honours__contest', 'honours', ['contest_no']) }}
),

final as (
    select
        event.sender,
        event.contest_no,
        event.contest_name,
        event.contest_kind,
        contest_kind.label as contest_kind_label,
        event.contest_level,
        contest_level.label as contest_level_label,
        event.skills_class,
        skills_class.label as skills_class_label,
        event.org_code,
        event.admdvs,
        region.full_name as region_name,
        event.industry,
        industry.label as industry_label,
        event.occupation_code,
        event.started_on,
        event.ended_on,
        event.units,
        event.participants,
        event.frontline_participants,
        event.winners,
        event.promoted,
        event.spent,
        event.delivery_name
    from event
    left join {{ ref('contest_kind') }} as contest_kind on event.contest_kind = contest_kind.code
    left join {{ ref('honour_level') }} as contest_level on event.contest_level = contest_level.code
    left join {{ ref('skills_class') }} as skills_class on event.skills_class = skills_class.code
    left join {{ ref('industry') }} as industry on event.industry = industry.code
    left join {{ ref('region') }} as region on event.admdvs = region.admdvs
)

select * from final
