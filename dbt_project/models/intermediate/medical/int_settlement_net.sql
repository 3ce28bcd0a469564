{{ config(materialized='view', tags=['static']) }}
with

final as (
    select
        settlement.sender,
        settlement.setl_id,
        settlement.delivery_id,
        case
            when settlement.vali_flag <> '1' then 'invalid'
            when settlement.init_setl_id is not null then 'reversal'
            when settlement.refd_setl_flag <> '0' then 'refunded'
            when exists (
                select from {{ ref('int_settlement_current') }} as reversal
                where
                    reversal.sender = settlement.sender
                    and reversal.init_setl_id = settlement.setl_id
                    and reversal.vali_flag = '1'
                    and reversal.refd_setl_flag = '1'
            ) then 'reversed'
            when settlement.out_flag = '2' and exists (
                select from {{ ref('int_settlement_current') }} as insured_end
                where
                    insured_end.setl_id = settlement.setl_id
                    and insured_end.sender <> settlement.sender
                    and insured_end.out_flag = '1'
            ) then 'counted_at_insured_end'
            else 'net'
        end as net_reason
    from {{ ref('int_settlement_current') }} as settlement
)

select * from final
