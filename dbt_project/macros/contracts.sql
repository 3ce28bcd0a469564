{# Written by `make generate` from ingest/contracts: change those, not this file. #}

{# Staging models of the feeds that carry an identity number; each has person_key, sex, birth_year. #}
{% macro person_feeds() %}
    {{ return([
        'stg_employment__employment_spell',
        'stg_employment__social_insurance_month',
        'stg_honours__honour',
        'stg_honours__studio',
        'stg_medical__person',
        'stg_medical__settlement',
        'stg_membership__member',
        'stg_rights__dispute_case',
        'stg_services__service_record',
        'stg_training__certificate',
        'stg_training__enrolment',
    ]) }}
{% endmacro %}


{# Staging models of the feeds whose rows name a union organisation, each with the column that does. #}
{% macro organisation_references() %}
    {{ return([
        ('stg_funds__audit_finding', 'org_code'),
        ('stg_funds__fund_budget', 'org_code'),
        ('stg_honours__contest', 'org_code'),
        ('stg_honours__honour', 'org_code'),
        ('stg_honours__studio', 'org_code'),
        ('stg_membership__member', 'org_code'),
        ('stg_rights__collective_contract', 'org_code'),
        ('stg_rights__contract_unit', 'org_code'),
        ('stg_rights__dispute_case', 'org_code'),
        ('stg_rights__regime', 'org_code'),
        ('stg_services__service_record', 'org_code'),
    ]) }}
{% endmacro %}


{# The code lists of the contracts; each is a seed. #}
{% macro code_lists() %}
    {{ return([
        'audit_kind',
        'cert_type',
        'certificate_status',
        'collective_contract_kind',
        'collective_contract_scope',
        'contest_kind',
        'contract_review',
        'delivery_mode',
        'dispute_channel',
        'dispute_outcome',
        'dispute_procedure',
        'dispute_type',
        'education',
        'employer_nature',
        'employment_end_reason',
        'employment_form',
        'employment_status',
        'ethnicity',
        'finding_type',
        'fund_account',
        'fund_purpose',
        'funding_source',
        'hardship_kind',
        'honour_level',
        'honour_status',
        'honour_type',
        'household_type',
        'industry',
        'insurance_kind',
        'insutype',
        'labour_contract_kind',
        'med_type',
        'member_change_reason',
        'member_status',
        'naty',
        'new_form_type',
        'org_level',
        'org_status',
        'org_type',
        'out_flag',
        'pay_loc',
        'payment_status',
        'payment_type',
        'platform',
        'political_status',
        'psn_insu_stas',
        'psn_type',
        'refd_setl_flag',
        'regime_kind',
        'regime_reach',
        'service_funding_source',
        'service_status',
        'service_type',
        'sex',
        'skill_level',
        'skills_class',
        'studio_kind',
        'studio_status',
        'supervision_document',
        'surv_stas',
        'training_result',
        'training_type',
        'vali_flag',
    ]) }}
{% endmacro %}


{# Columns whose texts do not land: the texts that have a code, and what lands for every other one. #}
{% macro free_texts() %}
    {{ return({
        'membership_member.change_reason': {
            'codes': ['10', '20', '30', '40', '50', '99'],
            'texts': {'本人申请': '10', '本人申请退会': '10', '自愿退会': '10', '申请退会': '10', '下岗保留': '20', '保留会籍': '20', '下岗': '20', '转移': '30', '会籍转移': '30', '转会': '30', '工作调动': '30', '除名': '40', '开除会籍': '40', '死亡': '50', '去世': '50', '其他': '99', '其它': '99'},
            'other': '99',
        },
    }) }}
{% endmacro %}


{# Sources whose senders deliver complete registers. #}
{% macro snapshot_sources() %}
    {{ return([
        'membership',
    ]) }}
{% endmacro %}
