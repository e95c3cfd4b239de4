#!/usr/bin/env bash
# Simulates several machines on this one: machines.sh FOLDER COUNT COMMAND... runs a command with access to node1 ...
# nodeCOUNT. Each machine has its own name, address (192.0.2.10 ...), processes, /tmp, /var/tmp, /run, /root and /dev/shm.
# All are on one network with the machine that the command runs on, `desk` (192.0.2.1), and share FOLDER as /mnt/shared.
#   /mnt/on NODE COMMAND...    runs a command on that machine
#   /mnt/power-off NODE        kills all its processes and its network
# Run it as root under `unshare --pid --net --uts --mount --fork --kill-child --mount-proc`; everything ends with the
# command.
set -euo pipefail

folder="$1" count="$2"
shift 2
mount -t tmpfs tmpfs /mnt
mkdir /mnt/shared /mnt/own
mount --bind "$folder" /mnt/shared
cat >/mnt/on <<'END'
#!/usr/bin/env bash
node="$1"
shift
exec nsenter --target "$(cat "/mnt/own/$node/pid")" --net --uts --mount --pid -- "$@"
END
cat >/mnt/power-off <<'END'
#!/usr/bin/env bash
kill -9 "$(cat "/mnt/own/$1/pid")"
END
chmod +x /mnt/on /mnt/power-off

# Overlays: writes go to /mnt/own, and existing files (such as a checkout below /tmp) stay readable.
# shellcheck disable=SC2016
becomes='
hostname "$0"
for place in /tmp /var/tmp /run /root; do
    own="/mnt/own/$0$place"
    mkdir -p "$own/upper" "$own/work"
    chmod --reference="$place" "$own/upper"
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$own/upper,workdir=$own/work" "$place"
done
mount -t tmpfs tmpfs /dev/shm
ip link set lo up'
bash -euc "$becomes" desk
ip link add bridge type bridge
ip address add 192.0.2.1/24 dev bridge
ip link set bridge up
{
    echo "127.0.0.1 localhost"
    echo "192.0.2.1 desk"
    for i in $(seq "$count"); do echo "192.0.2.$((9 + i)) node$i"; done
} >/mnt/hosts
mount --bind /mnt/hosts /etc/hosts

# shellcheck disable=SC2016
machine='
touch "/mnt/own/$0/ready"
sleep infinity &
wait # also reaps orphaned processes: `ray stop` considers a zombie alive'
for i in $(seq "$count"); do
    mkdir "/mnt/own/node$i"
    unshare --net --uts --mount --pid --fork --kill-child --mount-proc bash -euc "$becomes$machine" "node$i" &
    until [ -e "/mnt/own/node$i/ready" ]; do
        kill -0 $!
        sleep 0.05
    done
    pgrep --parent $! >"/mnt/own/node$i/pid"
    ip link add "veth$i" type veth peer name eth0 netns $!
    ip link set "veth$i" master bridge up
    /mnt/on "node$i" ip address add "192.0.2.$((9 + i))/24" dev eth0
    /mnt/on "node$i" ip link set eth0 up
done
"$@"
