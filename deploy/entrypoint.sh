#!/bin/sh
# Secrets come as files (NAME_FILE=/run/secrets/...); the programs read them from their environment.
set -eu

for name in HIVEGUARD_DATABASE_URL HIVEGUARD_FAILURE_WEBHOOK PGPASSWORD DAGSTER_PG_PASSWORD; do
    eval "file=\${${name}_FILE:-}"
    if [ -n "$file" ]; then
        if [ ! -r "$file" ]; then
            echo "${name}_FILE names $file, which $(id -un) cannot read" >&2
            exit 1
        fi
        export "$name=$(cat "$file")"
        unset "${name}_FILE"
    fi
done

exec "$@"
