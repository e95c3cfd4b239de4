"""Runs `ray start --block` on a spot machine and drains the node when the cloud is about to preempt it.

    python with_spot_notice.py aws ray start --address=HEAD:6379 --block

Ray does not query the cloud itself. SIGTERM makes it drain the node: trials save at their next step and resume on
another node. Needs only Python, no package. Notices: 2 minutes ahead on AWS (spot/instance-action), 30 s on Google
(instance/preempted). Exit code: the command's.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request

BASES = {"aws": "http://169.254.169.254", "gcp": "http://metadata.google.internal"}
POLL_INTERVAL_S = float(os.environ.get("HEARAI_METADATA_INTERVAL", 5))


def request(url: str, headers: dict[str, str], method: str = "GET") -> str:
    """The body, or "" on any error: no notice, or a metadata server that is not up yet."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method), timeout=3) as answer:
            return answer.read().decode()
    except OSError:  # includes urllib's errors; the next request follows in 5 s
        return ""


def aws_notice(base: str) -> bool:
    """Whether the machine will be stopped or terminated. Each request gets a new IMDSv2 token."""
    token = request(f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")
    answer = request(f"{base}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    return '"action"' in answer


def gcp_notice(base: str) -> bool:
    """Whether the machine is being preempted."""
    return request(f"{base}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"}).strip() == "TRUE"


NOTICES = {"aws": aws_notice, "gcp": gcp_notice}


def main(cloud: str, command: list[str]) -> int:
    base = os.environ.get("HEARAI_METADATA", BASES[cloud])
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.terminate())
    while child.poll() is None:
        if NOTICES[cloud](base):
            sys.stderr.write("this machine is being preempted: draining the node\n")
            child.terminate()
            return child.wait()
        time.sleep(POLL_INTERVAL_S)
    return child.returncode


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in NOTICES:
        sys.exit("usage: with_spot_notice.py aws|gcp COMMAND...")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
