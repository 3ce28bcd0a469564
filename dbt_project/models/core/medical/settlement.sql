{{ config(
    materialized='incremental',
    touched='int_touched_settlement',
    touched_on=['sender', 'setl_id'],
    indexes=[
        {'columns': ['setl_id', 'sender'], 'unique': true},
        {'columns': ['init_setl_id']},
        {'columns': ['person_key', 'setl_month']},
        {'columns': ['setl_month', 'insu_admdvs']},
    ],
) }}
-- depends_on: {{ ref('int_delivery_changed') }}
-- depends_on: {{ ref('int_touched_settlement') }}
{#- Only what changed is read again; where a delivery went, all of its sender's, for an older row may come back. -#}
{%- set kept = [
    'sender', 'setl_id', 'setl_month', 'setl_date', 'setl_time', 'person_key', 'insu_admdvs', 'insutype', 'psn_type',
    'category', 'med_type', 'fixmedins_code', 'begndate', 'enddate', 'mdtrt_id', 'init_setl_id', 'vali_flag',
    'refd_setl_flag', 'out_flag', 'pay_loc', 'medfee_sumamt', 'fulamt_ownpay_amt', 'overlmt_selfpay', 'preselfpay_amt',
    'inscp_amt', 'fund_pay_sumamt', 'hifp_pay', 'cvlserv_pay', 'hifes_pay', 'hifmi_pay', 'hifob_pay', 'hifdm_pay',
    'maf_pay', 'othfund_pay', 'psn_pay', 'acct_pay', 'cash_payamt', 'ownpay_hosp_part', 'delivery_name', 'file_no',
    'line_number',
] -%}
{% set changed_only -%}
and (
    is_changed
    or sender in (select sender from {{ ref('int_delivery_changed') }} where source = 'medical' and not is_input)
)
{%- endset %}
{%- set to_read %}
    select delivery_id from {{ ref('int_delivery') }}
    where source = 'medical' {{ changed_only if is_incremental() }}
{%- endset %}
with

delivery as (
    select
        delivery_id,
        name,
        sender,
        event_rank,
        delivery_id in ({{ to_read }}) as is_read
    from {{ ref('int_delivery') }}
    where source = 'medical'
),

landed as not materialized (
    select
        delivery.sender,
        delivery.event_rank,
        delivery.name as delivery_name,
        settlement.*
    from {{ ref('stg_medical__settlement') }} as settlement
    inner join delivery on settlement.delivery_id = delivery.delivery_id
    where
        delivery.is_read
        and {{ only_partitions_of(to_read, 'settlement') }}
        and {{ only_touched(
            'int_touched_settlement', ['sender', 'setl_id'], ['delivery.sender', 'settlement.setl_id']
        ) }}
),

{% if is_incremental() -%}
-- touched rows of deliveries that are not read again: they may have been replaced, or only their netting changes
standing as (
    select
        delivery.event_rank,
        settlement.*
    from {{ this }} as settlement
    inner join delivery on settlement.delivery_name = delivery.name
    where not delivery.is_read and {{ only_touched('int_touched_settlement', ['sender', 'setl_id'], 'settlement') }}
),

{% endif -%}
candidate as (
    select sender, setl_id, event_rank, init_setl_id, vali_flag, refd_setl_flag, out_flag
    from landed
    {%- if is_incremental() %}
    union all
    select sender, setl_id, event_rank, init_setl_id, vali_flag, refd_setl_flag, out_flag
    from standing
    {%- endif %}
),

-- of one sender and setl_id the row of the last delivery counts
current_row as (
    select distinct on (sender, setl_id) *
    from candidate
    order by sender asc, setl_id asc, event_rank desc
),

reversal as (
    select sender, init_setl_id as setl_id
    from current_row
    where vali_flag = '1' and refd_setl_flag = '1' and init_setl_id is not null
    {%- if is_incremental() %}
    union
    select settlement.sender, settlement.init_setl_id as setl_id
    from {{ this }} as settlement
    left join {{ ref('int_touched_settlement') }} as own
        on settlement.sender = own.sender and settlement.setl_id = own.setl_id
    where
        settlement.vali_flag = '1'
        and settlement.refd_setl_flag = '1'
        and own.setl_id is null
        and {{ only_touched(
            'int_touched_settlement', ['sender', 'setl_id'], ['settlement.sender', 'settlement.init_setl_id']
        ) }}
    {%- else %}
    group by sender, init_setl_id
    {%- endif %}
),

-- computed once, though the planner takes it for one row and might do it anew for each settlement
insured_end as materialized (
    select setl_id, min(sender) as least_sender, max(sender) as greatest_sender
    from (
        select sender, setl_id
        from current_row
        where out_flag = '1'
        {%- if is_incremental() %}
        union all
        select settlement.sender, settlement.setl_id
        from {{ this }} as settlement
        left join {{ ref('int_touched_settlement') }} as own
            on settlement.sender = own.sender and settlement.setl_id = own.setl_id
        where
            settlement.out_flag = '1'
            and own.setl_id is null
            and {{ only_touched('int_touched_settlement', ['setl_id'], 'settlement') }}
        {%- endif %}
    ) as end_of_settlement
    group by setl_id
),

judged as (
    select
        current_row.sender,
        current_row.setl_id,
        current_row.event_rank,
        case
            when current_row.vali_flag <> '1' then 'invalid'
            when current_row.init_setl_id is not null then 'reversal'
            when current_row.refd_setl_flag <> '0' then 'refunded'
            when reversal.setl_id is not null then 'reversed'
            when
                current_row.out_flag = '2'
                and (
                    insured_end.least_sender <> current_row.sender
                    or insured_end.greatest_sender <> current_row.sender
                )
                then 'counted_at_insured_end'
            else 'net'
        end as net_reason
    from current_row
    left join reversal on current_row.sender = reversal.sender and current_row.setl_id = reversal.setl_id
    left join insured_end on current_row.setl_id = insured_end.setl_id
),

content as (
    select event_rank, {{ kept | join(', ') }}
    from landed
    {%- if is_incremental() %}
    union all
    select event_rank, {{ kept | join(', ') }}
    from standing
    {%- endif %}
),

final as (
    select
        content.sender,
        content.setl_id,
        content.setl_month,
        content.setl_date,
        content.setl_time,
        content.person_key,
        content.insu_admdvs,
        content.insutype,
        content.psn_type,
        content.category,
        {{ medical_category_label('content.category') }} as category_label,
        content.med_type,
        {{ institution_key('content.sender', 'content.fixmedins_code') }} as institution_key,
        content.fixmedins_code,
        content.begndate,
        content.enddate,
        content.mdtrt_id,
        content.init_setl_id,
        content.vali_flag,
        content.refd_setl_flag,
        content.out_flag,
        content.pay_loc,
        judged.net_reason = 'net' as is_net,
        judged.net_reason,
        content.medfee_sumamt,
        content.fulamt_ownpay_amt,
        content.overlmt_selfpay,
        content.preselfpay_amt,
        content.inscp_amt,
        content.fund_pay_sumamt,
        content.hifp_pay,
        content.cvlserv_pay,
        content.hifes_pay,
        content.hifmi_pay,
        content.hifob_pay,
        content.hifdm_pay,
        content.maf_pay,
        content.othfund_pay,
        content.psn_pay,
        content.acct_pay,
        content.cash_payamt,
        content.ownpay_hosp_part,
        (content.psn_pay - content.fulamt_ownpay_amt - content.overlmt_selfpay)::numeric(18, 2) as policy_self_pay,
        (
            content.fund_pay_sumamt - content.hifp_pay - content.cvlserv_pay - content.hifes_pay - content.hifmi_pay
            - content.hifob_pay - content.hifdm_pay - content.maf_pay - content.othfund_pay
        )::numeric(18, 2) as fund_residual,
        content.delivery_name,
        content.file_no,
        content.line_number
    from content
    inner join judged
        on
            content.sender = judged.sender
            and content.setl_id = judged.setl_id
            and content.event_rank = judged.event_rank
)

select * from final
