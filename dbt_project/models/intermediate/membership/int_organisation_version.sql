{{ config(
    materialized='incremental',
    touched='int_touched_epoch',
    touched_on=['epoch_id'],
    indexes=[{'columns': ['epoch_id']}, {'columns': ['sender', 'org_code', 'valid_from'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_touched_epoch') }}
{{ register_versions('stg_membership__organisation', 'org_code') }}
