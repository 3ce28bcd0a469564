"""From a delivery in the inbox to accepted rows in the landing schema.

One module a step: ``contracts`` (what a feed looks like), ``inbox`` (what lies there), ``packages`` (folders and zips),
``manifest`` and ``deliveries`` (whole, and as announced), ``readers`` (file to text), ``cleaning`` and ``checks``
(text to values and reasons), ``identity`` and ``vault`` (persons), ``batches`` and ``landing`` (rows into the feeds'
tables), ``ledger`` (what happened), ``load`` (the order of the steps). Nothing here knows of expectations, dbt or DAGs.
"""
