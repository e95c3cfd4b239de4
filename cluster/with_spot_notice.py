"""Runs `ray start --block` on a spot machine and tells it when the cloud is about to take the machine away.

    python with_spot_notice.py aws ray start --address=HEAD:6379 --block

Ray does not ask the cloud by itself. SIGTERM makes it drain the node: trials save at their next step and go on
elsewhere. Needs Python alone, no package. Notices: 2 minutes ahead on AWS (spot/instance-action), 30 s on Google
(instance/preempted). Exit code: the command's.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request

BASES = {"aws": "http://169.254.169.254", "gcp": "http://metadata.google.internal"}
EVERY_SECONDS = 5


def ask(url: str, headers: dict[str, str], method: str = "GET") -> str:
    """The body, or "" where there is none to be had: no notice, or a metadata server that is not up yet."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method), timeout=3) as answer:
            return answer.read().decode()
    except OSError:  # urllib's errors are OSErrors, too; the next question is 5 s away
        return ""


def aws_notice(base: str) -> bool:
    """Whether the machine will be stopped or terminated. The token of IMDSv2 is fresh for each question."""
    token = ask(f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")
    answer = ask(f"{base}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    return '"action"' in answer


def gcp_notice(base: str) -> bool:
    """Whether the machine is being preempted."""
    return ask(f"{base}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"}).strip() == "TRUE"


NOTICES = {"aws": aws_notice, "gcp": gcp_notice}


def main(cloud: str, command: list[str]) -> int:
    base = os.environ.get("HEARAI_METADATA", BASES[cloud])
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.terminate())
    while child.poll() is None:
        if NOTICES[cloud](base):
            sys.stderr.write("the cloud takes this machine away: draining it\n")
            child.terminate()
            return child.wait()
        time.sleep(EVERY_SECONDS)
    return child.returncode


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in NOTICES:
        sys.exit("usage: with_spot_notice.py aws|gcp COMMAND...")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
