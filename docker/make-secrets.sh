#!/usr/bin/env bash
# Creates the secret files of docker-compose.yml that are missing. Other users cannot enter the folder. The files in it
# are readable by all, because Compose mounts them with their permissions and the services run as another user.
set -euo pipefail
folder=${1:-secrets}
mkdir -p "$folder"
chmod 700 "$folder"
for name in postgres_password warehouse_password airflow_password warehouse_key \
    airflow_page_password airflow_page_key airflow_jwt_secret airflow_fernet_key; do
    if [ ! -s "$folder/$name" ]; then
        # 32 random bytes in URL-safe base64: valid as a password, as a key, and as a Fernet key.
        head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' > "$folder/$name"
        chmod 644 "$folder/$name"
        echo "made $folder/$name"
    fi
done
# Where notifications go: addresses of webhooks and passwords of mail servers are secrets, too.
if [ ! -s "$folder/warehouse_notify" ]; then
    echo '[{"type": "log"}]' > "$folder/warehouse_notify"
    chmod 644 "$folder/warehouse_notify"
    echo "made $folder/warehouse_notify"
fi
