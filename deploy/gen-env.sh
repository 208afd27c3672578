#!/bin/sh
# Writes .env at the top of this repository with a random value for each secret that
# docker-compose.yml asks for. To a .env that is there it adds the secrets that it lacks,
# as after an update, and changes nothing of it.
set -eu
cd "$(dirname "$0")/.."

# random N: N random bytes in hexadecimal, which need no escapes in a URL.
random() {
    head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

# lacking: a line with a random value for each secret that .env has no value for.
lacking() {
    for name in POSTGRES_PASSWORD NSELF_OWNER_PASSWORD NSELF_SERVER_PASSWORD NSELF_APP_PASSWORD NSELF_HASURA_PASSWORD \
        HASURA_GRAPHQL_ADMIN_SECRET REDIS_PASSWORD S3_SECRET_ACCESS_KEY NSELF_WEBHOOK_SECRET NSELF_ENCRYPTION_KEY; do
        if [ -e .env ] && grep -Eq "^(export )?$name=." .env; then
            continue
        elif [ "$name" = NSELF_ENCRYPTION_KEY ]; then
            echo "$name=$(head -c 32 /dev/urandom | base64)"
        else
            echo "$name=$(random 24)"
        fi
    done
}

umask 077
added=$(lacking)
if [ ! -e .env ]; then
    set -C # a .env that appears meanwhile is not overwritten either
    cat >.env <<ENV
# Written by deploy/gen-env.sh. Keep a copy where it is safe, above all of
# NSELF_ENCRYPTION_KEY: without it the signing keys in the database cannot be opened.
# .env.example explains each name and lists those that may be added.
$added
ENV
    echo "gen-env.sh: wrote .env"
elif [ -n "$added" ]; then
    [ -z "$(tail -c 1 .env)" ] || echo >>.env # the last line was not ended
    echo "$added" >>.env
    echo "gen-env.sh: added to .env:" $(echo "$added" | cut -d= -f1)
else
    echo "gen-env.sh: .env has every secret already; it is left as it is" >&2
    exit 1
fi
