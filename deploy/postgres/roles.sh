#!/bin/sh
# Roles and databases of a new PostgreSQL server, as docs/postgres.md describes them. The passwords are read
# from files named after what they open, so that none is in an argument, an environment or a log.
set -eu

export SECRETS="${HIVEGUARD_SECRETS:-/run/secrets}"

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
    --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set owner_password `cat "$SECRETS/hiveguard_owner_password"`
\set pipeline_password `cat "$SECRETS/hiveguard_pipeline_password"`
\set challenge_server_password `cat "$SECRETS/challenge_server_password"`
\set dagster_password `cat "$SECRETS/dagster_password"`
CREATE ROLE hiveguard_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE hiveguard_pipeline LOGIN PASSWORD :'pipeline_password';
CREATE ROLE challenge_server LOGIN PASSWORD :'challenge_server_password';
CREATE ROLE dagster LOGIN PASSWORD :'dagster_password';
CREATE DATABASE hiveguard OWNER hiveguard_owner;
CREATE DATABASE dagster OWNER dagster;
SQL
