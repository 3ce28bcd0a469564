{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_month',
    changed_on=['month'],
) }}
-- depends_on: {{ ref('int_changed_month') }}
with

final as (
    select
        month,
        sender,
        count(*) as organisations,
        coalesce(sum(employees), 0) as employees,
        count(*) filter (where has_workers_congress) as with_workers_congress,
        count(*) filter (where has_open_affairs) as with_open_affairs,
        count(*) filter (where has_collective_contract) as with_collective_contract
    from {{ ref('int_organisation_month') }}
    where is_base and {{ only_changed('int_changed_month', ['month']) }}
    group by month, sender
)

select * from final
