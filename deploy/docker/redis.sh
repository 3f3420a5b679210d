#!/bin/sh
# Mends a torn append-only file before Redis reads it: a transaction cut off by a power loss would otherwise be
# completed by whatever is written next. The checker asks before it truncates; `yes` answers.
set -eu
manifest=/data/appendonlydir/appendonly.aof.manifest
if [ -f "$manifest" ]; then
    echo yes | redis-check-aof --fix "$manifest"
fi
exec redis-server --dir /data --appendonly yes --appendfsync everysec --maxmemory-policy noeviction \
    --maxmemory "${REDIS_MAXMEMORY:?the memory at which Redis refuses writes, below the limit of the container}"
