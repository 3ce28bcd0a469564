{{ config(indexes=[{'columns': ['sender', 'studio_no'], 'unique': true}, {'columns': ['person_key']}]) }}
with

register as ({{ latest_register_rows('stg_honours__studio', 'honours', ['studio_no']) }}
),

final as (
    select
        register.sender,
        register.studio_no,
        register.person_key,
        register.studio_kind,
        studio_kind.label as studio_kind_label,
        register.studio_level,
        studio_level.label as studio_level_label,
        register.org_code,
        register.employer_uscc,
        register.admdvs,
        region.full_name as region_name,
        register.industry,
        industry.label as industry_label,
        register.occupation_code,
        register.named_on,
        register.status,
        status.label as status_label,
        register.status_changed_on,
        register.alliance_no,
        register.alliance_name,
        register.members,
        register.projects,
        register.achievements,
        register.patents,
        register.trained,
        register.funded_amount,
        register.delivery_name
    from register
    left join {{ ref('studio_kind') }} as studio_kind on register.studio_kind = studio_kind.code
    left join {{ ref('honour_level') }} as studio_level on register.studio_level = studio_level.code
    left join {{ ref('industry') }} as industry on register.industry = industry.code
    left join {{ ref('studio_status') }} as status on register.status = status.code
    left join {{ ref('region') }} as region on register.admdvs = region.admdvs
)

select * from final
