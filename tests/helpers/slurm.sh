#!/usr/bin/env bash
# Starts Slurm on the machines of machines.sh, then runs a command:
#   machines.sh FOLDER COUNT slurm.sh COUNT COMMAND...
set -euo pipefail

count="$1"
shift
own=/run/hearai-slurm # on each machine
export SLURM_CONF=/mnt/shared/slurm.conf
head -c 64 /dev/urandom >/mnt/key
nodes="node$(seq -s ,node "$count")"
cat >"$SLURM_CONF" <<END
ClusterName=test
SlurmctldHost=desk
SlurmUser=root
SlurmdUser=root
AuthInfo=socket=$own/socket
StateSaveLocation=$own/state
SlurmdSpoolDir=$own/spool
SlurmctldPidFile=$own/slurmctld.pid
SlurmdPidFile=$own/slurmd.pid
SlurmctldLogFile=/mnt/shared/slurmctld.log
SlurmdLogFile=/mnt/shared/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SlurmdTimeout=20
NodeName=$nodes CPUs=$(nproc)
PartitionName=all Nodes=$nodes Default=YES
END
# shellcheck disable=SC2016
munge='
mkdir -p "$0/state" "$0/spool"
cp /mnt/key "$0/key"
chmod 400 "$0/key"
munged --force --key-file "$0/key" --socket "$0/socket" --pid-file "$0/munge.pid" --log-file "$0/munge.log" \
    --seed-file "$0/seed" --num-threads 2'
bash -euc "$munge" "$own"
slurmctld
for i in $(seq "$count"); do
    /mnt/on "node$i" bash -euc "$munge; slurmd -N node$i" "$own"
done
for _ in $(seq 300); do
    if [ "$(sinfo --noheader --Node --format=%t | sort | uniq -c | tr -s ' ')" = " $count idle" ]; then exec "$@"; fi
    sleep 0.1
done
sinfo >&2
echo "not all nodes became idle" >&2
exit 99
