{{ config(indexes=[{'columns': ['month', 'person_key'], 'unique': true}]) }}
{{ changed_person_months(
    state='insurance_month',
    versions='insurance_spell',
    changed_versions='int_changed_spell',
    keys=['sender', 'psn_insu_rlts_id'],
    first='in_force_from',
    end='in_force_to',
) }}
