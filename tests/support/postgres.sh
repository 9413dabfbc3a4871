#!/bin/bash
# A private PostgreSQL for a test: own folder, own Unix socket, no TCP, no fsync, gone when its owner is.
#
#   postgres.sh start DIR [OWNER_PID]  makes and starts it, prints its conninfo; DIR is made if needed (a short path: the
#                                      socket lives in it). When the process OWNER_PID ends, the server and DIR go too.
#                                      Exit 3 and "skipped: ..." when this machine has no PostgreSQL server programs.
#   postgres.sh stop DIR               stops it and removes DIR
#   postgres.sh restart DIR            stops and starts it (its sessions are ended)
#   postgres.sh kill DIR               SIGKILL to the postmaster and its children, as a power loss is to them
#   postgres.sh up DIR                 starts it again after kill
#
# As root the server runs as user "postgres" (PostgreSQL refuses root), or "nobody" where there is no such user.
set -euo pipefail
umask 022

find_bin() {
    local found
    for found in "$(command -v initdb || true)" /usr/lib/postgresql/1[3-9]/bin/initdb; do
        [[ -x $found ]] && dirname "$(readlink -f "$found")"
    done | tail -1
}
as_server() { # runs the rest as who owns the cluster, in a folder that this user may enter
    if [[ $(id -u) == 0 ]]; then
        local user=postgres
        id postgres >/dev/null 2>&1 || user=nobody
        (cd / && exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@")
    else
        (cd / && exec "$@")
    fi
}
start_server() {
    as_server "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -s start </dev/null >/dev/null 2>&1 ||
        { echo "postgres.sh: the server did not start:" >&2; tail -20 "$dir/log" >&2; exit 1; }
}
stop_server() { # MODE
    [[ ! -f $dir/data/postmaster.pid ]] || as_server "$bin/pg_ctl" -D "$dir/data" -w -t 60 -s -m "$1" stop >/dev/null 2>&1 || true
}
watch_owner() { # PID: outlives this script, in a session of its own so that no signal to the test's group ends it
    setsid bash -c 'while kill -0 "$1" 2>/dev/null && [[ -d $2 ]]; do sleep 0.5; done
                    [[ ! -d $2 ]] || exec "$0" stop "$2"' "$self" "$1" "$dir" </dev/null >/dev/null 2>&1 &
}

self=$(readlink -f "${BASH_SOURCE[0]}")
[[ $# -ge 2 ]] || { sed -n '2,14s/^# \{0,1\}//p' "$self" >&2; exit 2; }
mkdir -p "$2"
dir=$(readlink -f "$2")
bin=$(find_bin)
[[ $bin ]] || { rmdir "$dir" 2>/dev/null || true; echo "skipped: no PostgreSQL server programs (initdb) on this machine"; exit 3; }

case $1 in
start)
    mkdir -p "$dir/data"
    [[ $(id -u) != 0 ]] || chown -R "$(id -un postgres 2>/dev/null || echo nobody)" "$dir"
    [[ -z ${3:-} ]] || watch_owner "$3"
    as_server "$bin/initdb" -D "$dir/data" -U roost --auth=trust --encoding=UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1 ||
        { cat "$dir/initdb.log" >&2; exit 1; }
    as_server tee -a "$dir/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
port = 5432
unix_socket_directories = '$dir'
fsync = off
full_page_writes = off
shared_buffers = 16MB
max_connections = 40
max_wal_size = 128MB
autovacuum = off
log_min_messages = warning
CONF
    start_server
    echo "host=$dir port=5432 user=roost dbname=postgres"
    ;;
stop)
    stop_server immediate
    rm -rf "$dir"
    ;;
restart)
    stop_server fast
    start_server
    ;;
kill)
    pid=$(head -1 "$dir/data/postmaster.pid")
    # Stopped first, or it could have a new child meanwhile: while it recovers it starts one after the other.
    kill -STOP "$pid" 2>/dev/null || true
    # The children too, and at once: they would notice the postmaster's end and finish by themselves.
    all="$pid $(pgrep -P "$pid" | tr '\n' ' ' || true)"
    kill -9 $all 2>/dev/null || true
    for ((i = 0; i < 400; i++)); do
        alive=
        for p in $all; do
            state=$(ps -o stat= -p "$p" || true)
            [[ -z $state || $state == Z* ]] || alive=yes
        done
        [[ $alive ]] || break
        sleep 0.02
    done
    # Where nobody reaps the dead, their numbers look alive to the next server.
    rm -f "$dir/data/postmaster.pid" "$dir"/.s.PGSQL.*
    ;;
up)
    start_server
    ;;
*)
    sed -n '2,14s/^# \{0,1\}//p' "$self" >&2
    exit 2
    ;;
esac
