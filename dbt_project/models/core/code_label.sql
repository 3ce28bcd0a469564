{{ config(tags=['static'], indexes=[{'columns': ['list', 'sender', 'code'], 'unique': true}]) }}
{# Every code list of the contracts in one table, for whoever meets a code without its label beside it; local
   extensions by their sender. #}
{% set lists = [
    'cert_type', 'certificate_status', 'delivery_mode', 'education', 'employer_nature', 'employment_status', 'ethnicity',
    'funding_source', 'household_type', 'industry', 'insutype', 'med_type', 'member_status', 'naty', 'new_form_type',
    'org_level', 'org_status', 'org_type', 'out_flag', 'pay_loc', 'political_status', 'psn_insu_stas', 'psn_type',
    'refd_setl_flag', 'reform_indicator_label', 'sex', 'skill_level', 'surv_stas', 'training_result', 'training_type',
    'vali_flag',
] %}
with

together as (
    {%- for list in lists %}
    select
        '{{ list | replace("_label", "") }}' as list,
        code,
        label,
        label_en
    from {{ ref(list) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
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
        code_list.label as list_label,
        code_list.standard
    from extended
    left join {{ ref('code_list') }} as code_list on extended.list = code_list.list
)

select * from final
