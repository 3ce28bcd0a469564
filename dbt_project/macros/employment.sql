{# Contributions to social insurance: which of them count as insured. #}

{# Whether a row of core.social_insurance_month says that a contribution of one of the kinds arrived. Its status and kind
   are those of the feed: 1 is arrived. #}
{% macro is_paid(row, kinds) -%}
    ({{ row }}.status = '1' and {{ row }}.insurance_kind in ('{{ kinds | join("', '") }}'))
{%- endmacro %}

{# Kinds of basic pension insurance of employees: of enterprises, of state organs and public institutions. #}
{% macro pension_kinds() %}{{ return(['110', '120']) }}{% endmacro %}

{# Kinds that every employer pays for its workers, pension and work injury: whoever has none of them is not covered. #}
{% macro employer_kinds() %}{{ return(pension_kinds() + ['410']) }}{% endmacro %}

{# Kinds that figures count: all but 310, for medical insurance is what the medical source says of it. #}
{% macro counted_kinds() %}{{ return(employer_kinds() + ['170', '210', '510', '900']) }}{% endmacro %}

{# Query for the deliveries that a model of employment spells reads: all in a full build, else those of the senders of
   changed spells. #}
{% macro employment_deliveries_to_read() %}
    select delivery_id from {{ ref('int_delivery') }}
    where
        source = 'employment'
        {%- if is_incremental() %}
        and sender in (select sender from {{ ref('int_changed_employment_spell') }})
        {%- endif %}
{%- endmacro %}
