{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_settlement',
    changed_on=['sender', 'setl_id'],
    indexes=[
        {'columns': ['setl_id', 'sender'], 'unique': true},
        {'columns': ['init_setl_id']},
        {'columns': ['person_key', 'setl_month']},
        {'columns': ['setl_month', 'insu_admdvs']},
    ],
) }}
-- depends_on: {{ ref('int_changed_delivery') }}
-- depends_on: {{ ref('int_changed_settlement') }}
{%- set delivered = [
    'setl_month', 'setl_date', 'setl_time', 'person_key', 'insu_admdvs', 'insutype', 'psn_type', 'category', 'med_type',
    'fixmedins_code', 'begndate', 'enddate', 'mdtrt_id', 'init_setl_id', 'vali_flag', 'refd_setl_flag', 'out_flag',
    'pay_loc', 'medfee_sumamt', 'fulamt_ownpay_amt', 'overlmt_selfpay', 'preselfpay_amt', 'inscp_amt', 'fund_pay_sumamt',
    'hifp_pay', 'cvlserv_pay', 'hifes_pay', 'hifmi_pay', 'hifob_pay', 'hifdm_pay', 'maf_pay', 'othfund_pay', 'psn_pay',
    'acct_pay', 'cash_payamt', 'ownpay_hosp_part', 'file_no', 'line_number',
] -%}
{%- set to_read = settlement_deliveries_to_read() %}
with

-- the changed settlements, before their netting is decided: the planner would decide that of all of them
current_row as {{ 'materialized' if is_incremental() }} (
    select
        current_row.*,
        delivery.name as delivery_name
    from {{ ref('int_settlement_current') }} as current_row
    inner join {{ ref('int_delivery') }} as delivery on current_row.delivery_id = delivery.delivery_id
    where {{ only_changed('int_changed_settlement', ['sender', 'setl_id'], 'current_row') }}
),

net as (
    select
        current_row.sender,
        current_row.setl_id,
        current_row.delivery_id,
        current_row.delivery_name,
        -- the first reason that holds why a settlement does not count
        case
            when current_row.vali_flag <> '1' then 'invalid'
            when current_row.init_setl_id is not null then 'reversal'
            when current_row.refd_setl_flag <> '0' then 'refunded'
            when exists (
                select from {{ ref('int_settlement_current') }} as reversal
                where
                    reversal.sender = current_row.sender
                    and reversal.init_setl_id = current_row.setl_id
                    and reversal.vali_flag = '1'
                    and reversal.refd_setl_flag = '1'
            ) then 'reversed'
            when current_row.out_flag = '2' and exists (
                select from {{ ref('int_settlement_current') }} as insured_end
                where
                    insured_end.setl_id = current_row.setl_id
                    and insured_end.sender <> current_row.sender
                    and insured_end.out_flag = '1'
            ) then 'counted_at_insured_end'
            else 'net'
        end as net_reason
    from current_row
),

content as (
    select
        net.sender,
        net.setl_id,
        net.delivery_name,
        net.net_reason,
        settlement.{{ delivered | join(',\n        settlement.') }}
    from {{ ref('stg_medical__settlement') }} as settlement
    inner join net on settlement.delivery_id = net.delivery_id and settlement.setl_id = net.setl_id
    where {{ only_partitions_of(to_read, 'settlement') }}
    {%- if is_incremental() %}
    union all
    -- from deliveries that are not read again: only the netting of their row may differ
    select
        net.sender,
        net.setl_id,
        net.delivery_name,
        net.net_reason,
        existing.{{ delivered | join(',\n        existing.') }}
    from {{ this }} as existing
    inner join net
        on
            existing.sender = net.sender
            and existing.setl_id = net.setl_id
            and existing.delivery_name = net.delivery_name
    where net.delivery_id not in ({{ to_read }})
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
        content.net_reason = 'net' as is_net,
        content.net_reason,
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
        content.line_number,
        insutype.label as insutype_label,
        coalesce(psn_type.label, psn_class.label) as psn_type_label
    from content
    -- a longer code than those of the lists, with a local ending, bears the label of its beginning
    left join {{ ref('insutype') }} as insutype on left(content.insutype, 3) = insutype.code
    left join {{ ref('psn_type') }} as psn_type on left(content.psn_type, 4) = psn_type.code
    left join {{ ref('psn_type') }} as psn_class on left(content.psn_type, 2) = psn_class.code
)

select * from final
