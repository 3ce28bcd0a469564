#!/bin/bash
# Run once by the postgres image on an empty volume: the two databases and their owners.
set -euo pipefail
secrets=${WAREHOUSE_SECRETS:-/run/secrets}
warehouse=$(cat "$secrets/warehouse_password")
airflow=$(cat "$secrets/airflow_password")
# The owner of the warehouse creates the readers' roles and logins, so it needs CREATEROLE; it is no superuser. The
# passwords reach psql by standard input: arguments stand in the list of processes.
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
\\set warehouse '$warehouse'
\\set airflow '$airflow'
CREATE ROLE warehouse LOGIN CREATEROLE PASSWORD :'warehouse';
CREATE ROLE airflow LOGIN PASSWORD :'airflow';
CREATE DATABASE warehouse OWNER warehouse;
CREATE DATABASE airflow OWNER airflow;
REVOKE CONNECT ON DATABASE airflow FROM PUBLIC;
GRANT pg_monitor, pg_checkpoint, pg_signal_backend, pg_use_reserved_connections TO warehouse;
GRANT pg_use_reserved_connections TO airflow;
SQL
