#!/bin/sh
# Writes .env at the top of this repository with a random value for each secret that
# docker-compose.yml asks for. It never changes a .env that is there.
set -eu
cd "$(dirname "$0")/.."

if [ -e .env ]; then
    echo "gen-env.sh: .env is there already; it is left as it is" >&2
    exit 1
fi

# random N: N random bytes in hexadecimal, which need no escapes in a URL.
random() {
    head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

umask 077
set -C # a .env that appears meanwhile is not overwritten either
cat >.env <<ENV
# Written by deploy/gen-env.sh. Keep a copy where it is safe, above all of
# NSELF_ENCRYPTION_KEY: without it the signing keys in the database cannot be opened.
# .env.example explains each name and lists those that may be added.
POSTGRES_PASSWORD=$(random 24)
NSELF_OWNER_PASSWORD=$(random 24)
NSELF_SERVER_PASSWORD=$(random 24)
NSELF_APP_PASSWORD=$(random 24)
NSELF_HASURA_PASSWORD=$(random 24)
HASURA_GRAPHQL_ADMIN_SECRET=$(random 24)
REDIS_PASSWORD=$(random 24)
S3_SECRET_ACCESS_KEY=$(random 24)
NSELF_WEBHOOK_SECRET=$(random 24)
NSELF_ENCRYPTION_KEY=$(head -c 32 /dev/urandom | base64)
ENV
echo "gen-env.sh: wrote .env"
