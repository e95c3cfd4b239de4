#!/usr/bin/env bash
# Starts sshd on the machines of machines.sh, puts a key into ~/.ssh, then runs a command:
#   machines.sh FOLDER COUNT ssh_machines.sh COUNT COMMAND...
set -euo pipefail

count="$1"
shift
rm -rf ~/.ssh # in the overlay of machines.sh, not the real /root
mkdir ~/.ssh
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
ssh-keygen -q -t ed25519 -N '' -f /mnt/host_key
cp ~/.ssh/id_ed25519.pub /mnt/authorized_keys
sshd="$(command -v sshd || echo /usr/sbin/sshd)"
for i in $(seq "$count"); do
    /mnt/on "node$i" bash -euc 'mkdir -p /run/sshd
exec "$0" -o HostKey=/mnt/host_key -o AuthorizedKeysFile=/mnt/authorized_keys -o StrictModes=no \
    -o PermitRootLogin=prohibit-password -o PasswordAuthentication=no -o PidFile=/run/sshd.pid' "$sshd"
done
exec "$@"
