{{ config(
    indexes=[{'columns': ['sender', 'org_code'], 'unique': true}, {'columns': ['employer_uscc']}],
) }}
{# Parents are followed within one sender, seven steps at most (the register has seven levels): a circle cannot run
   on. #}
{% set steps = 7 %}
with

last_state as (
    select distinct on (sender, org_code) *
    from {{ ref('organisation_history') }}
    order by sender asc, org_code asc, valid_from desc
),

climbed as (
    select
        own.sender,
        own.org_code,
        array_remove(array[
            {%- for step in range(1, steps + 1) %}
            step_{{ step }}.org_code{{ ',' if not loop.last }}
            {%- endfor %}
        ], null) as ancestors,
        array_remove(array[
            {%- for step in range(1, steps + 1) %}
            step_{{ step }}.org_level{{ ',' if not loop.last }}
            {%- endfor %}
        ], null) as ancestor_levels
    from last_state as own
    {% for step in range(1, steps + 1) -%}
    {% set below = 'own' if loop.first else 'step_' ~ (step - 1) -%}
    left join last_state as step_{{ step }}
        on
            {{ below }}.sender = step_{{ step }}.sender
            and {{ below }}.parent_org_code = step_{{ step }}.org_code
            and own.org_code <> step_{{ step }}.org_code
            {% for before in range(1, step) -%}
            and step_{{ before }}.org_code <> step_{{ step }}.org_code
            {% endfor -%}
    {% endfor -%}
),

final as (
    select
        own.sender,
        own.org_code,
        own.org_name,
        own.union_uscc,
        own.parent_org_code,
        own.parent_org_code is not null and cardinality(climbed.ancestors) = 0 as is_orphan,
        cardinality(climbed.ancestors)::smallint as depth,
        array_to_string(climbed.ancestors || own.org_code, ' > ') as path,
        climbed.ancestors[array_position(climbed.ancestor_levels, '20')] as province_org_code,
        climbed.ancestors[array_position(climbed.ancestor_levels, '30')] as city_org_code,
        climbed.ancestors[array_position(climbed.ancestor_levels, '40')] as county_org_code,
        climbed.ancestors[array_position(climbed.ancestor_levels, '50')] as township_org_code,
        own.org_level,
        level.label as org_level_label,
        own.org_type,
        type.label as org_type_label,
        own.admdvs,
        region.full_name as region_name,
        own.employer_uscc,
        own.employer_name,
        own.employer_nature,
        nature.label as employer_nature_label,
        own.industry,
        industry.label as industry_label,
        own.founded_on,
        own.status,
        status.label as status_label,
        own.employees,
        own.women_employees,
        own.migrant_employees,
        own.covered_units,
        own.has_workers_congress,
        own.has_open_affairs,
        own.has_collective_contract,
        own.valid_from,
        own.valid_to,
        own.is_current,
        own.delivery_name
    from last_state as own
    inner join climbed on own.sender = climbed.sender and own.org_code = climbed.org_code
    left join {{ ref('org_level') }} as level on own.org_level = level.code
    left join {{ ref('org_type') }} as type on own.org_type = type.code
    left join {{ ref('employer_nature') }} as nature on own.employer_nature = nature.code
    left join {{ ref('industry') }} as industry on own.industry = industry.code
    left join {{ ref('org_status') }} as status on own.status = status.code
    left join {{ ref('region') }} as region on own.admdvs = region.admdvs
)

select * from final
