#!/bin/bash
# Run once by the postgres image on an empty volume: the two databases, their owners, and the login of the dashboards.
set -euo pipefail
secrets=${WAREHOUSE_SECRETS:-/run/secrets}
warehouse=$(cat "$secrets/warehouse_password")
airflow=$(cat "$secrets/airflow_password")
bi_reader=$(cat "$secrets/bi_reader_password")
# The owner of the warehouse creates the readers' roles, so it needs CREATEROLE; it is no superuser. The passwords reach
# psql by standard input: arguments stand in the list of processes.
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
\\set warehouse '$warehouse'
\\set airflow '$airflow'
\\set bi_reader '$bi_reader'
CREATE ROLE warehouse LOGIN CREATEROLE PASSWORD :'warehouse';
CREATE ROLE airflow LOGIN PASSWORD :'airflow';
CREATE ROLE bi_reader LOGIN CONNECTION LIMIT 30 PASSWORD :'bi_reader';
CREATE DATABASE warehouse OWNER warehouse;
CREATE DATABASE airflow OWNER airflow;
REVOKE CONNECT ON DATABASE airflow FROM PUBLIC;
GRANT pg_monitor, pg_checkpoint, pg_signal_backend, pg_use_reserved_connections TO warehouse;
GRANT pg_use_reserved_connections TO airflow;
GRANT bi_reader TO warehouse WITH ADMIN OPTION;
SQL
