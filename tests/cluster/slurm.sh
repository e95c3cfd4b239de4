#!/usr/bin/env bash
# A Slurm of one node in namespaces of its own, then a command in it: slurm_node.sh FOLDER COMMAND...
# Run under `unshare --pid --net --mount --fork --kill-child --mount-proc`, as root; all ends with the command.
set -euo pipefail

folder="$1"
shift
ip link set lo up
ip address add 192.0.2.1/32 dev lo # with nothing but loopback addresses, not even "localhost" resolves
mkdir -p "$folder/state" "$folder/spool" "$folder/munge"
chmod 700 "$folder/munge"
head -c 64 /dev/urandom >"$folder/munge/key"
chmod 400 "$folder/munge/key"
munged --force --key-file "$folder/munge/key" --socket "$folder/munge/socket" --pid-file "$folder/munge/pid" \
    --log-file "$folder/munge/log" --seed-file "$folder/munge/seed" --num-threads 2
export SLURM_CONF="$folder/slurm.conf"
cat >"$SLURM_CONF" <<END
ClusterName=test
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthInfo=socket=$folder/munge/socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
NodeName=localhost CPUs=$(nproc)
PartitionName=all Nodes=localhost Default=YES
END
slurmctld
slurmd -N localhost
for _ in $(seq 100); do
    if [ "$(sinfo --noheader --format=%t)" = idle ]; then exec "$@"; fi
    sleep 0.1
done
echo "the node never became idle" >&2
exit 99
