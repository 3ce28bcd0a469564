{# Small cells: rows that speak of 1 to 10 persons do not show their measures, nor does what would give them away.

   CTEs to be written after the CTE `cells`; the last one, `suppressed`, has all columns of `cells` and `is_suppressed`:
   1. Rows with 1 to 10 persons are suppressed; rows with 0 persons never are.
   2. Where exactly one row of a group is, the one with the fewest persons of the others is suppressed too (of several the
      first by category): otherwise a total less its published parts would show it.
   3. Where there is no other one to take, the group's total row is suppressed too.

   Arguments: `cells`, name of the CTE; `persons`, the column that counts persons; `group`, columns whose combination is
   one group; `category`, the column that tells the rows of a group apart; `total`, its value on the total row, if the
   group has one. #}
{% macro suppress_small_cells(cells, persons, group, category, total=none) %}
{%- set is_part = "true" if total is none else category ~ " <> '" ~ total ~ "'" -%}
{%- set by_group = group | join(', ') -%}
compared as (
    select
        *,
        {{ is_small_cell(persons) }} as is_small,
        {{ is_part }} as is_part,
        count(*) filter (where {{ is_small_cell(persons) }} and {{ is_part }}) over (
            partition by {{ by_group }}
        ) as small_parts,
        count(*) filter (where {{ persons }} > 10 and {{ is_part }}) over (
            partition by {{ by_group }}
        ) as large_parts,
        row_number() over (
            partition by {{ by_group }}, {{ persons }} > 10 and {{ is_part }}
            order by {{ persons }}, {{ category }} collate "C"
        ) as size_rank
    from {{ cells }}
),

suppressed as (
    select
        *,
        (
            is_small
            or (small_parts = 1 and is_part and {{ persons }} > 10 and size_rank = 1)
            or (small_parts = 1 and large_parts = 0 and not is_part)
        ) as is_suppressed
    from compared
)
{%- endmacro %}

{# A measure of the CTE `suppressed` as it is published: null in suppressed rows. #}
{% macro unless_suppressed(measure, data_type) -%}
    case when not suppressed.is_suppressed then {{ measure }} end::{{ data_type }}
{%- endmacro %}

{# Whether a number of persons is so small that figures must not speak of them. #}
{% macro is_small_cell(persons) -%}
    {{ persons }} between 1 and 10
{%- endmacro %}
