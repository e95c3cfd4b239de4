#!/usr/bin/env bash
# A Ray cluster of several nodes on one machine, to try out a cluster:
#   cluster/local_cluster.sh start [N]    a head that runs no trials, and N workers (default 2)
#   cluster/local_cluster.sh status       which nodes are running
#   cluster/local_cluster.sh stop         stops what start has started, and no other Ray
# Logs, caches and Ray's own files: $HEARAI_LOCAL_CLUSTER, default /tmp/hearai-cluster-UID.
# Exit codes: 0 done; 1 not started, or (status) not running; 2 invalid command.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PATH="$root/.venv/bin:$PATH" # the environment of `make venv`, else the active one
# A short path: it holds Ray's sockets, whose paths may have at most 107 characters.
home="${HEARAI_LOCAL_CLUSTER:-/tmp/hearai-cluster-$(id -u)}"
nodes="$home/nodes" # a line per node: name, process id, start time of that process
wait_s=90           # how long a node may take to start; two busy cores need 20 s

export RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0
unset RAY_ADDRESS # may be another cluster's

say() { printf '%s\n' "$*"; }
fail() {
    local code="$1"
    shift
    printf 'error: %s\n' "$*" >&2
    exit "$code"
}

# The start time of a process: with the process id it identifies the process, even if the id is reused.
start_time() { LC_ALL=C ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' '_' | sed 's/^_//; s/_$//'; }
runs() { [ -n "$2" ] && [ "$(start_time "$1")" = "$2" ] && [ -n "$(alive "$1")" ]; }

# Those of the processes that are still running, without zombies.
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

# The token of all nodes and clients, readable by this user only.
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

# The folder is in /tmp, where another user may have created one of that name.
provide_home() {
    (umask 077 && mkdir -p "$home")
    [ -O "$home" ] && [ ! -L "$home" ] || fail 2 "$home: belongs to another user; set HEARAI_LOCAL_CLUSTER"
    chmod 700 "$home"
    : >"$nodes"
}

# Free ports, the defaults if they are free: another Ray may be running. Below the range of ephemeral ports.
free_ports() {
    python3 - "$@" <<'PYTHON'
import socket
import sys

probes = []
for first in map(int, sys.argv[1:]):
    for port in range(first, first + 1000):
        probe = socket.socket()
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that has just been closed is free
        try:
            probe.bind(("", port))
        except OSError:
            continue
        probes.append(probe)  # held until all ports are found
        print(port)
        break
    else:
        sys.exit(f"no free port from {first} on")
PYTHON
}

# start_node NAME OPTION...: `ray start --block` in its own process group, which outlives this shell.
start_node() {
    local name="$1" pid
    shift
    rm -rf "${home:?}/$name/ray"
    mkdir -p "$home/$name/cache"
    set -m
    HEARAI_CACHE="$home/$name/cache" HEARAI_LOCAL_NODE="$home/$name" nohup ray start --block \
        --node-ip-address=127.0.0.2 --node-name="$name" --labels="hearai.node=$name" --temp-dir="$home/$name/ray" \
        --object-store-memory=268435456 --min-worker-port=0 --max-worker-port=0 --log-color=false \
        "$@" >"$home/$name/log" 2>&1 </dev/null &
    pid=$!
    set +m
    printf '%s %s %s\n' "$name" "$pid" "$(start_time "$pid")" >>"$nodes"
}

await_node() {
    local name="$1" pid start until=$((SECONDS + wait_s))
    read -r pid start < <(awk -v name="$name" '$1 == name {print $2, $3}' "$nodes")
    until grep -q 'Ray runtime started' "$home/$name/log"; do
        if ! runs "$pid" "$start" || [ "$SECONDS" -ge "$until" ]; then
            tail -n 15 "$home/$name/log" >&2
            stop_all
            fail 1 "$name did not start; its log: $home/$name/log"
        fi
        sleep 0.2
    done
}

start() {
    local workers="${1:-2}" cpus i gpus
    [[ "$workers" =~ ^[1-9][0-9]?$ ]] || fail 2 "start: $workers workers; give a number from 1 to 99"
    command -v ray >/dev/null || fail 2 "ray is not installed here; run \`make venv\`"
    if any_runs; then fail 2 "already running; see cluster/local_cluster.sh status, or stop it"; fi
    provide_home
    provide_token
    local starts=(6379 8265 10001)
    for ((i = 0; i <= workers; i++)); do starts+=(20000); done
    local ports
    mapfile -t ports < <(free_ports "${starts[@]}")
    [ "${#ports[@]}" -eq "${#starts[@]}" ] || fail 1 "not enough free ports"
    printf '127.0.0.2:%s http://127.0.0.1:%s\n' "${ports[0]}" "${ports[1]}" >"$home/address"

    # No CPUs: the head runs the drivers and the dashboard; a trial there could crash them.
    start_node head --head --port="${ports[0]}" --dashboard-host=127.0.0.1 --dashboard-port="${ports[1]}" \
        --ray-client-server-port="${ports[2]}" --dashboard-agent-listen-port="${ports[3]}" --num-cpus=0 --num-gpus=0
    await_node head
    cpus=$(($(nproc) / workers))
    for ((i = 1; i <= workers; i++)); do
        gpus=(--num-gpus=0) # only worker1 has the machine's GPUs
        if [ "$i" -eq 1 ]; then gpus=(); fi
        start_node "worker$i" --address="127.0.0.2:${ports[0]}" --num-cpus="$((cpus > 0 ? cpus : 1))" \
            --dashboard-agent-listen-port="${ports[$((3 + i))]}" ${gpus[@]+"${gpus[@]}"}
    done
    for ((i = 1; i <= workers; i++)); do await_node "worker$i"; done
    print_usage "$token"
}

print_usage() {
    local dashboard name pid start
    dashboard="$(cut -d' ' -f2 "$home/address")"
    say "dashboard   $dashboard (log in with the token in $1)"
    say "submit      export RAY_AUTH_MODE=token RAY_API_SERVER_ADDRESS=$dashboard"
    say "            python experiments/submit.py tune --space smoke --storage $(printf '%q' "$PWD/runs")"
    say "nodes       kill -TERM PID: preemption (its trials save and resume elsewhere); kill -9 PID: failure"
    while read -r name pid start; do say "            $name  pid $pid"; done <"$nodes"
    say "stop        cluster/local_cluster.sh stop"
}

status() {
    any_runs || fail 1 "this script has started no cluster (looked in $home)"
    local name pid start state
    while read -r name pid start; do
        state=gone
        if runs "$pid" "$start"; then state=runs; fi
        say "$name  pid $pid  $state"
    done <"$nodes"
    say "dashboard  $(cut -d' ' -f2 "$home/address")"
    ray status --address "$(cut -d' ' -f1 "$home/address")"
}

# The nodes' processes: `ray start`, its descendants, and orphans with our environment variable.
node_processes() {
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
        ps axeww -o pid=,command= | awk -v mark="HEARAI_LOCAL_NODE=$home/" 'index($0, mark) {print $1}'
    } | sort -un | grep -vx "$$" || true
}

# Stops the children of `ray start` first, so that drivers can close their journals. `ray start` would treat the signal
# as a preemption and wait for trials to move, so it is killed with the processes that remain.
stop_all() {
    local all left until=$((SECONDS + 3)) # several of Ray's processes ignore SIGTERM
    mapfile -t all < <(node_processes)
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

# signal NAME PID...: some may already have ended.
signal() {
    local name="$1" pid
    shift
    for pid in "$@"; do kill -"$name" "$pid" 2>/dev/null || true; done
}

stop() {
    if [ ! -s "$nodes" ]; then
        say "nothing to stop (looked in $home)"
        return
    fi
    stop_all
    say "stopped; logs and caches stay in $home"
}

case "${1:-}" in
start) start "${2:-2}" ;;
stop) stop ;;
status) status ;;
*) fail 2 "usage: cluster/local_cluster.sh start [N] | stop | status" ;;
esac
