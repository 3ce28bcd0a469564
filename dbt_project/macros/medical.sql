{# Category of care, by the first two digits of the kind of care. #}
{% macro medical_category(med_type) -%}
    case
        when left({{ med_type }}, 2) in ('11', '12', '13', '19', '81') then 'outpatient'
        when left({{ med_type }}, 2) = '14' then 'chronic'
        when left({{ med_type }}, 2) in ('21', '22', '23', '24', '25', '26', '27', '28') then 'inpatient'
        when left({{ med_type }}, 2) = '41' then 'pharmacy'
        when left({{ med_type }}, 2) in ('51', '52', '53') then 'maternity'
        else 'other'
    end
{%- endmacro %}

{# Chinese names of the categories of care. #}
{% macro medical_category_label(category) -%}
    case {{ category }}
        when 'outpatient' then '门诊'
        when 'chronic' then '门诊慢特病'
        when 'inpatient' then '住院'
        when 'pharmacy' then '药店购药'
        when 'maternity' then '生育'
        else '其他'
    end
{%- endmacro %}

{# Key of a medical institution: a national code (H or P and 11 digits) is one in the whole country, a local one only
   with its sender. #}
{% macro institution_key(sender, code) -%}
    {{ surrogate_key(["case when " ~ code ~ " ~ '^[HP][0-9]{11}$' then '100000' else " ~ sender ~ " end", code]) }}
{%- endmacro %}

{# Query for the deliveries whose settlements a model reads: all in a full build, else those that changed. Where a
   delivery of a sender went, all of that sender, for an older row of the same settlement counts again. #}
{% macro settlement_deliveries_to_read() %}
    select delivery_id from {{ ref('int_delivery') }}
    where
        source = 'medical'
        {%- if is_incremental() %}
        and (
            is_changed
            or sender in (
                select sender from {{ ref('int_changed_delivery') }}
                where source = 'medical' and not is_input
            )
        )
        {%- endif %}
{%- endmacro %}
