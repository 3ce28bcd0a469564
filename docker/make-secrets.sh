#!/usr/bin/env bash
# Creates the secret files of docker-compose.yml that are missing. Other users cannot enter the folder. The files in it
# are readable by all, because Compose mounts them with their permissions and the services run as another user.
set -euo pipefail
folder=${1:-secrets}
mkdir -p "$folder"
chmod 700 "$folder"

# keep NAME: standard input becomes the secret, unless there is one.
keep() {
    if [ -s "$folder/$1" ]; then
        cat > /dev/null
        return
    fi
    cat > "$folder/$1.part"
    chmod 644 "$folder/$1.part"
    mv "$folder/$1.part" "$folder/$1"
    echo "made $folder/$1"
}

for name in postgres_password warehouse_password airflow_password warehouse_key \
    airflow_page_password airflow_page_key airflow_jwt_secret airflow_fernet_key redis_password \
    superset_key superset_admin_password; do
    # 32 random bytes in URL-safe base64: valid as a password, as a key, and as a Fernet key.
    head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' | keep "$name"
done
# Where notifications and events of OpenLineage go, and the options of a remote inbox: addresses of webhooks and passwords
# are secrets, too.
echo '[{"type": "log"}]' | keep warehouse_notify
echo '{}' | keep warehouse_openlineage
echo '{}' | keep warehouse_inbox_options
# Redis knows the hash of the password alone. Airflow may use the queue, not administer the server.
hash=$(tr -d '\n' < "$folder/redis_password" | sha256sum | cut -d ' ' -f 1)
if ! grep -qs "#$hash " "$folder/redis_users"; then rm -f "$folder/redis_users"; fi
printf 'user default off\nuser airflow on #%s ~* &* +@all -@admin -@dangerous +info\n' "$hash" | keep redis_users
