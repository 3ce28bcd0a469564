{{ config(indexes=[{'columns': ['name'], 'unique': true}]) }}
with

file as (
    select
        delivery_name as name,
        sum(rows_read) as rows_read,
        sum(rows_loaded) as rows_loaded,
        sum(rows_rejected) as rows_rejected
    from {{ ref('stg_ops__delivery_file') }}
    group by delivery_name
),

-- line 0 is a remark about the file, not about a row
warning as (
    select
        delivery_name as name,
        count(*) as warnings
    from {{ ref('stg_ops__row_warning') }}
    where line_number > 0
    group by delivery_name
),

reason as (
    select
        rejected.delivery_name as name,
        reasons.reason,
        count(*) as rows_with_reason
    from {{ ref('stg_ops__rejected_row') }} as rejected
    cross join unnest(rejected.reasons) as reasons (reason)
    group by rejected.delivery_name, reasons.reason
),

ranked as (
    select
        *,
        row_number() over (partition by name order by rows_with_reason desc, reason collate "C") as frequency_rank
    from reason
),

top_reasons as (
    select
        name,
        string_agg(reason || ' ' || rows_with_reason, ', ' order by frequency_rank) as top_reasons
    from ranked
    where frequency_rank <= 3
    group by name
),

final as (
    select
        delivery.name,
        delivery.source,
        delivery.sender,
        delivery.period,
        delivery.mode,
        delivery.created,
        delivery.status,
        delivery.codes,
        coalesce(file.rows_read, 0)::bigint as rows_read,
        coalesce(file.rows_loaded, 0)::bigint as rows_loaded,
        coalesce(file.rows_rejected, 0)::bigint as rows_rejected,
        {{ share('file.rows_rejected', 'file.rows_read') }} as rejected_share,
        coalesce(warning.warnings, 0)::bigint as warnings,
        top_reasons.top_reasons,
        delivery.created_date - (delivery.month + interval '1 month' - interval '1 day')::date as days_after_period,
        region.name as sender_name,
        case delivery.status
            when 'accepted' then '已接收'
            when 'refused' then '已退回'
            when 'superseded' then '已被替代'
            when 'withdrawn' then '已撤回'
            else '处理中'
        end as status_label
    from {{ ref('stg_ops__delivery') }} as delivery
    left join file on delivery.name = file.name
    left join warning on delivery.name = warning.name
    left join top_reasons on delivery.name = top_reasons.name
    left join {{ ref('region') }} as region on delivery.sender = region.admdvs
)

select * from final
