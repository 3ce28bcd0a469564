{# Own generic tests, under the names that dbt_utils made known. #}

{% test unique_combination_of_columns(model, combination_of_columns) %}
select {{ combination_of_columns | join(', ') }}, count(*) as rows_of_one_key
from {{ model }}
group by {{ combination_of_columns | join(', ') }}
having count(*) > 1
{% endtest %}

{% test expression_is_true(model, expression, column_name=none) %}
select *
from {{ model }}
where not ({{ column_name ~ ' ' if column_name else '' }}{{ expression }})
{% endtest %}

{% test accepted_range(model, column_name, min_value=none, max_value=none) %}
select *
from {{ model }}
where
    false
    {% if min_value is not none %}or {{ column_name }} < {{ min_value }}{% endif %}
    {% if max_value is not none %}or {{ column_name }} > {{ max_value }}{% endif %}
{% endtest %}

{# Like relationships, for a key of several columns. #}
{% test relationships_on(model, to, columns, to_columns=none) %}
with child as (
    select {{ columns | join(', ') }}
    from {{ model }}
)

select {{ columns | join(', ') }}
from child
where
    {% for column in columns %}child.{{ column }} is not null and {% endfor %}
    not exists (
        select 1
        from {{ to }} as parent
        where
            {% for column in columns -%}
            parent.{{ (to_columns or columns)[loop.index0] }} = child.{{ column }}{{ ' and ' if not loop.last }}
            {%- endfor %}
    )
{% endtest %}

{# Share of rows with a value at least as great as given. #}
{% test not_null_proportion(model, column_name, at_least) %}
select share
from (select avg(({{ column_name }} is not null)::integer) as share from {{ model }}) as counted
where share < {{ at_least }}
{% endtest %}

{# Rows of this relation and of another are as many. #}
{% test equal_rowcount(model, to) %}
select ours, theirs
from
    (select count(*) as ours from {{ model }}) as a
    cross join (select count(*) as theirs from {{ to }}) as b
where ours <> theirs
{% endtest %}
