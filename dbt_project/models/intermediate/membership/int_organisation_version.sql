{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_epoch',
    changed_on=['epoch_id'],
    indexes=[{'columns': ['epoch_id']}, {'columns': ['sender', 'org_code', 'valid_from'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_epoch') }}
{{ register_versions('stg_membership__organisation', 'org_code') }}
