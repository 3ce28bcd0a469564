{{ config(indexes=[{'columns': ['month', 'person_key'], 'unique': true}]) }}
{{ changed_person_months(
    state='int_employment_month',
    versions='int_employment_version',
    changed_versions='int_changed_employment_spell',
    keys=['sender', 'spell_id'],
    first='employed_from',
    end='employed_to',
) }}
