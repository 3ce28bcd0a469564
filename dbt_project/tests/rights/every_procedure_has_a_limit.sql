{{ config(tags=['static']) }}
{#
What: the seed dispute_limit has a row for every code of dispute_procedure.
When: a procedure was added to the code list without its limit: its cases would never be overdue.
How to resolve: add the row to dbt_project/seeds/dispute_limit.csv.
#}
select format('The procedure %s (%s) has no limit of days.', kind.code, kind.label) as audit_message
from {{ ref('dispute_procedure') }} as kind
left join {{ ref('dispute_limit') }} as dispute_limit on kind.code = dispute_limit.procedure
where dispute_limit.procedure is null
