with

source as (
    select * from {{ source('medical', 'medical_settlement') }}
),

renamed as (
    select
        -- where the row comes from
        delivery_id,
        file_no,
        line_number,

        -- ids
        setl_id,
        mdtrt_id,
        init_setl_id,
        person_key,
        fixmedins_code,

        -- attributes
        person_sex as sex,
        person_birth_year as birth_year,
        insutype,
        psn_type,
        insu_admdvs,
        fixmedins_name,
        hosp_lv,
        med_type,
        {{ medical_category('med_type') }} as category,
        pay_loc,
        refd_setl_flag,
        vali_flag,
        out_flag,

        -- dates
        begndate,
        enddate,
        setl_time,
        setl_time::date as setl_date,
        date_trunc('month', setl_time)::date as setl_month,

        -- money in yuan: a missing value counts as 0
        medfee_sumamt,
        coalesce(fulamt_ownpay_amt, 0)::numeric(16, 2) as fulamt_ownpay_amt,
        coalesce(overlmt_selfpay, 0)::numeric(16, 2) as overlmt_selfpay,
        coalesce(preselfpay_amt, 0)::numeric(16, 2) as preselfpay_amt,
        coalesce(inscp_amt, 0)::numeric(16, 2) as inscp_amt,
        coalesce(hifp_pay, 0)::numeric(16, 2) as hifp_pay,
        coalesce(cvlserv_pay, 0)::numeric(16, 2) as cvlserv_pay,
        coalesce(hifes_pay, 0)::numeric(16, 2) as hifes_pay,
        coalesce(hifmi_pay, 0)::numeric(16, 2) as hifmi_pay,
        coalesce(hifob_pay, 0)::numeric(16, 2) as hifob_pay,
        coalesce(hifdm_pay, 0)::numeric(16, 2) as hifdm_pay,
        coalesce(maf_pay, 0)::numeric(16, 2) as maf_pay,
        coalesce(othfund_pay, 0)::numeric(16, 2) as othfund_pay,
        fund_pay_sumamt,
        psn_pay,
        coalesce(acct_pay, 0)::numeric(16, 2) as acct_pay,
        coalesce(cash_payamt, 0)::numeric(16, 2) as cash_payamt,
        coalesce(ownpay_hosp_part, 0)::numeric(16, 2) as ownpay_hosp_part
    from source
)

select * from renamed
