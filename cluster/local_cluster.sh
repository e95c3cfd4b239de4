#!/usr/bin/env bash
# A Ray cluster of several nodes on one machine, to try everything that a real one does:
#   cluster/local_cluster.sh start [N]    a head that takes no trials, and N workers (default 2)
#   cluster/local_cluster.sh status       which nodes run
#   cluster/local_cluster.sh stop         ends what start began, and nothing else
# Logs, caches and Ray's own files: $HEARAI_LOCAL_CLUSTER, default /tmp/hearai-cluster-UID.
# Exit codes: 0 done; 1 it did not start, or (status) does not run; 2 the command cannot be used like this.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PATH="$root/.venv/bin:$PATH" # what `make venv` set up comes first; else an environment that is active
# Short, since Ray's sockets lie below it and a socket's path holds at most 107 characters.
place="${HEARAI_LOCAL_CLUSTER:-/tmp/hearai-cluster-$(id -u)}"
nodes="$place/nodes" # a line a node: name, process id, when that process began
wait_s=90            # how long a node may take to start; two busy cores need 20 s

export RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0
unset RAY_ADDRESS # another cluster's

say() { printf '%s\n' "$*"; }
fail() {
    local code="$1"
    shift
    printf 'error: %s\n' "$*" >&2
    exit "$code"
}

# When a process began: with its id the only name of a process that no later one can bear.
began() { LC_ALL=C ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' '_' | sed 's/^_//; s/_$//'; }
runs() { [ -n "$2" ] && [ "$(began "$1")" = "$2" ] && [ -n "$(alive "$1")" ]; }

# Those of the processes that still run; a zombie only waits for its parent to look at it.
alive() {
    local pid
    for pid in "$@"; do
        case "$(ps -o stat= -p "$pid" 2>/dev/null)" in '' | Z*) ;; *) say "$pid" ;; esac
    done
}

any_runs() {
    [ -f "$nodes" ] || return 1
    local name pid start
    while read -r name pid start; do
        if runs "$pid" "$start"; then return 0; fi
    done <"$nodes"
    return 1
}

# The token that every node and client shows; nobody else may read it.
provide_token() {
    token="${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}"
    if [ ! -s "$token" ]; then
        (
            umask 077
            mkdir -p "$(dirname "$token")"
            od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$token"
        )
    fi
    chmod 600 "$token"
}

# The folder is under /tmp, where anybody may have made one of that name.
provide_place() {
    (umask 077 && mkdir -p "$place")
    [ -O "$place" ] && [ ! -L "$place" ] || fail 2 "$place: belongs to somebody else; set HEARAI_LOCAL_CLUSTER"
    chmod 700 "$place"
    : >"$nodes"
}

# Free ports, the usual ones where they are: another Ray may run here. Kept below those that systems hand out.
free_ports() {
    python3 - "$@" <<'PYTHON'
import socket
import sys

taken = []
for first in map(int, sys.argv[1:]):
    for port in range(first, first + 1000):
        probe = socket.socket()
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what just ended is no hindrance
        try:
            probe.bind(("", port))
        except OSError:
            continue
        taken.append(probe)  # held until all are found
        print(port)
        break
    else:
        sys.exit(f"no free port from {first} on")
PYTHON
}

# start_node NAME OPTION...: `ray start --block` in a process group of its own, which outlives this shell.
start_node() {
    local name="$1" pid
    shift
    rm -rf "${place:?}/$name/ray"
    mkdir -p "$place/$name/cache"
    set -m
    HEARAI_CACHE="$place/$name/cache" HEARAI_LOCAL_NODE="$place/$name" nohup ray start --block \
        --node-ip-address=127.0.0.2 --node-name="$name" --labels="hearai.node=$name" --temp-dir="$place/$name/ray" \
        --object-store-memory=268435456 --min-worker-port=0 --max-worker-port=0 --log-color=false \
        "$@" >"$place/$name/log" 2>&1 </dev/null &
    pid=$!
    set +m
    printf '%s %s %s\n' "$name" "$pid" "$(began "$pid")" >>"$nodes"
}

await_node() {
    local name="$1" pid start until=$((SECONDS + wait_s))
    read -r pid start < <(awk -v name="$name" '$1 == name {print $2, $3}' "$nodes")
    until grep -q 'Ray runtime started' "$place/$name/log"; do
        if ! runs "$pid" "$start" || [ "$SECONDS" -ge "$until" ]; then
            tail -n 15 "$place/$name/log" >&2
            stop_all
            fail 1 "$name did not start; its log: $place/$name/log"
        fi
        sleep 0.2
    done
}

start() {
    local workers="${1:-2}" cpus i gpus
    [[ "$workers" =~ ^[1-9][0-9]?$ ]] || fail 2 "start: $workers workers; give a number from 1 to 99"
    command -v ray >/dev/null || fail 2 "ray is not installed here; \`make venv\` does that"
    if any_runs; then fail 2 "it runs already; cluster/local_cluster.sh status shows it, stop ends it"; fi
    provide_place
    provide_token
    local starts=(6379 8265 10001)
    for ((i = 0; i <= workers; i++)); do starts+=(20000); done
    local ports
    mapfile -t ports < <(free_ports "${starts[@]}")
    [ "${#ports[@]}" -eq "${#starts[@]}" ] || fail 1 "there are not enough free ports"
    printf '127.0.0.2:%s http://127.0.0.1:%s\n' "${ports[0]}" "${ports[1]}" >"$place/address"

    # No CPUs: the head runs the searches' drivers and the dashboard; a trial there could take them along.
    start_node head --head --port="${ports[0]}" --dashboard-host=127.0.0.1 --dashboard-port="${ports[1]}" \
        --ray-client-server-port="${ports[2]}" --dashboard-agent-listen-port="${ports[3]}" --num-cpus=0 --num-gpus=0
    await_node head
    cpus=$(($(nproc) / workers))
    for ((i = 1; i <= workers; i++)); do
        gpus=(--num-gpus=0) # a machine's GPUs are counted once
        if [ "$i" -eq 1 ]; then gpus=(); fi
        start_node "worker$i" --address="127.0.0.2:${ports[0]}" --num-cpus="$((cpus > 0 ? cpus : 1))" \
            --dashboard-agent-listen-port="${ports[$((3 + i))]}" ${gpus[@]+"${gpus[@]}"}
    done
    for ((i = 1; i <= workers; i++)); do await_node "worker$i"; done
    explain "$token"
}

explain() {
    local dashboard name pid start
    dashboard="$(cut -d' ' -f2 "$place/address")"
    say "dashboard   $dashboard (log in with the token in $1)"
    say "submit      export RAY_AUTH_MODE=token RAY_API_SERVER_ADDRESS=$dashboard"
    say "            python experiments/submit.py tune --space smoke --storage $(printf '%q' "$PWD/runs")"
    say "nodes       kill -TERM PID: preempted, its trials save and move; kill -9 PID: it died"
    while read -r name pid start; do say "            $name  pid $pid"; done <"$nodes"
    say "stop        cluster/local_cluster.sh stop"
}

status() {
    any_runs || fail 1 "no cluster of this script runs here (looked in $place)"
    local name pid start state
    while read -r name pid start; do
        state=gone
        if runs "$pid" "$start"; then state=runs; fi
        say "$name  pid $pid  $state"
    done <"$nodes"
    say "dashboard  $(cut -d' ' -f2 "$place/address")"
    ray status --address "$(cut -d' ' -f1 "$place/address")"
}

# The nodes' processes: `ray start` itself, what descends from it, and what outlived it but still carries our mark.
ours() {
    local name pid start roots=""
    while read -r name pid start; do
        if runs "$pid" "$start"; then roots="$roots $pid"; fi
    done <"$nodes"
    {
        ps -eo pid=,ppid= | awk -v roots="$roots" '
            { parent[$1] = $2 }
            END {
                count = split(roots, pids, " ")
                for (i = 1; i <= count; i++) inside[pids[i]] = 1
                for (grew = 1; grew; ) {
                    grew = 0
                    for (p in parent) if (!(p in inside) && (parent[p] in inside)) inside[p] = grew = 1
                }
                for (p in inside) print p
            }'
        ps axeww -o pid=,command= | awk -v mark="HEARAI_LOCAL_NODE=$place/" 'index($0, mark) {print $1}'
    } | sort -un | grep -vx "$$" || true
}

# The nodes' parts go first, drivers with a moment to close their journals; `ray start`, which would take the signal
# for a preemption and wait for trials to move, goes with those that stay.
stop_all() {
    local all left until=$((SECONDS + 3)) # several of Ray's parts ignore the signal
    mapfile -t all < <(ours)
    mapfile -t left < <(printf '%s\n' "${all[@]}" | grep -vxFf <(cut -d' ' -f2 "$nodes") || true)
    signal TERM "${left[@]}"
    while mapfile -t left < <(alive "${left[@]}") && [ "${#left[@]}" -gt 0 ] && [ "$SECONDS" -lt "$until" ]; do
        sleep 0.2
    done
    mapfile -t left < <(alive "${all[@]}")
    signal KILL "${left[@]}"
    while [ -n "$(alive "${left[@]}")" ]; do sleep 0.1; done
    : >"$nodes"
}

# signal NAME PID...: some may have ended meanwhile.
signal() {
    local name="$1" pid
    shift
    for pid in "$@"; do kill -"$name" "$pid" 2>/dev/null || true; done
}

stop() {
    if [ ! -s "$nodes" ]; then
        say "nothing to stop (looked in $place)"
        return
    fi
    stop_all
    say "stopped; logs and caches stay in $place"
}

case "${1:-}" in
start) start "${2:-2}" ;;
stop) stop ;;
status) status ;;
*) fail 2 "usage: cluster/local_cluster.sh start [N] | stop | status" ;;
esac
