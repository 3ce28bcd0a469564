{# Type of the services that pay out mutual aid. #}
{% macro mutual_aid_service() -%}
    31
{%- endmacro %}

{# Chinese names of the groups of services. #}
{% macro service_group_label(service_group) -%}
    case {{ service_group }}
        when '1' then '帮扶'
        when '2' then '慰问'
        when '3' then '互助保障'
        when '4' then '疗休养'
        when '5' then '阵地服务'
        when '6' then '关爱'
        when '9' then '其他'
        when 'any' then '合计'
    end
{%- endmacro %}
