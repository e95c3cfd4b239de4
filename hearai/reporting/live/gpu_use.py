"""How busy the GPUs of this machine are, as NVIDIA's `nvidia-smi` says."""

import shutil
import subprocess

QUERY = "--query-gpu=utilization.gpu,memory.used,memory.total"
TIMEOUT_S = 3
MOST_LISTED = 4
"""GPUs that are listed one by one."""


def gpu_use() -> str:
    """`GPUs here: 87 % busy, 12.3 of 80.0 GB`, a part for each; empty without NVIDIA GPUs, or if they do not answer."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return ""
    try:
        done = subprocess.run(
            [tool, QUERY, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return format_gpu_use(done.stdout) if done.returncode == 0 else ""


def format_gpu_use(answer: str) -> str:
    """The line for an answer of `nvidia-smi`: a line per GPU with its percentage, and MiB used and in total."""
    rows = []
    for line in answer.splitlines():
        try:
            busy, used, total = map(float, line.split(","))
        except ValueError:  # "[N/A]", as for a part of a GPU
            continue
        rows.append((busy, used * 2**20 / 1e9, total * 2**20 / 1e9))
    if not rows:
        return ""
    if len(rows) > MOST_LISTED:
        used, total = sum(row[1] for row in rows), sum(row[2] for row in rows)
        mean = sum(row[0] for row in rows) / len(rows)
        return f"{len(rows)} GPUs here: {mean:.0f} % busy on average, {used:.1f} of {total:.1f} GB"
    parts = [f"{busy:.0f} % busy, {used:.1f} of {total:.1f} GB" for busy, used, total in rows]
    return f"GPU{'s' * (len(rows) > 1)} here: {'; '.join(parts)}"
