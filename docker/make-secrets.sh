#!/usr/bin/env bash
# Makes the secret files that docker-compose.yml names, each once. The folder is closed to other users; the files are
# readable in it because Compose mounts them as they are, and the services run as a user of their own.
set -euo pipefail
folder=${1:-secrets}
mkdir -p "$folder"
chmod 700 "$folder"
for name in postgres_password warehouse_password airflow_password warehouse_key \
    airflow_page_password airflow_page_key airflow_jwt_secret airflow_fernet_key; do
    if [ ! -s "$folder/$name" ]; then
        # 32 random bytes in URL-safe base64: a password, a key and a Fernet key alike.
        head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' > "$folder/$name"
        chmod 644 "$folder/$name"
        echo "made $folder/$name"
    fi
done
