{{ config(tags=['static'], indexes=[{'columns': ['list', 'sender', 'code'], 'unique': true}]) }}
{# Every code list of the contracts in one table, for whoever meets a code without its label beside it; local
   extensions by their sender. #}
with

together as (
    {%- for list in code_lists() %}
    select
        '{{ list }}' as list,
        code,
        label,
        label_en
    from {{ ref(list) }}
    union all
    {%- endfor %}
    select
        'reform_indicator' as list,
        code,
        label,
        label_en
    from {{ ref('reform_indicator_label') }}
),

named as (
    select
        list,
        label,
        standard
    from {{ ref('code_list') }}
    union all
    select
        'reform_indicator' as list,
        '改革指标' as label,
        'figures of this warehouse' as standard
),

extended as (
    select
        list,
        '100000' as sender,
        code,
        label,
        label_en,
        null as national_code
    from together
    union all
    select
        list,
        sender,
        code,
        label,
        label_en,
        national_code
    from {{ ref('local_code') }}
),

final as (
    select
        extended.list,
        extended.sender,
        extended.code,
        extended.label,
        extended.label_en,
        extended.national_code,
        named.label as list_label,
        named.standard
    from extended
    left join named on extended.list = named.list
)

select * from final
