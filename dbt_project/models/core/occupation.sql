{{ config(indexes=[{'columns': ['occupation_code'], 'unique': true}]) }}
{# The occupations that certificates and enrolments name. The name is the one most certificates give, the first by code
   point among equals. #}
with

certified as (
    select
        occupation_code,
        occupation_name,
        count(*) as certificates
    from {{ ref('certificate') }}
    where occupation_code is not null
    group by occupation_code, occupation_name
),

named as (
    select distinct on (occupation_code)
        occupation_code,
        occupation_name
    from certified
    where occupation_name is not null
    order by occupation_code asc, certificates desc, occupation_name collate "C" asc
),

code as (
    select occupation_code from certified
    union
    select occupation_code from {{ ref('enrolment') }}
    where occupation_code is not null
),

final as (
    select
        code.occupation_code,
        named.occupation_name,
        left(code.occupation_code, 1) as major_group,
        case left(code.occupation_code, 1)
            when '1' then '党的机关、国家机关、群众团体和社会组织、企事业单位负责人'
            when '2' then '专业技术人员'
            when '3' then '办事人员和有关人员'
            when '4' then '社会生产服务和生活服务人员'
            when '5' then '农、林、牧、渔业生产及辅助人员'
            when '6' then '生产制造及有关人员'
            when '7' then '军队人员'
            when '8' then '不便分类的其他从业人员'
        end as major_group_label,
        left(code.occupation_code, 4) as sub_major_group,
        left(code.occupation_code, 7) as minor_group
    from code
    left join named on code.occupation_code = named.occupation_code
)

select * from final
