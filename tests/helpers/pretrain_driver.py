"""The driver of a search up to its first trial, with pre-training by two workers on CPUs.

Run as a script with space, dataset, folder of studies and address: `tune.py` starts such a group on GPUs only.
"""

import sys
from pathlib import Path

from hearai.config.study import Request, load_study
from hearai.search.cluster.connect import connect
from hearai.search.cluster.node_checks import prepare_inputs_on_nodes, pretraining_workers
from hearai.search.cluster.resources import TrialResources
from hearai.search.plan import make_plan
from hearai.search.storage.study_sync import StudySync


def main(space: str, data: str, runs: str, address: str) -> None:
    """Prints what a search prints, and how many workers it would start for trials with a GPU each, or half of one."""
    folder = Path(runs) / "tiny"
    folder.mkdir(parents=True)
    connect(address)
    plan = make_plan(load_study(Request(space, data_paths=(data,))), folder)
    for gpus in (0, 0.5, 1):
        print(f"{gpus} GPUs: {pretraining_workers(plan, TrialResources(gpus=gpus))} workers", flush=True)
    prepare_inputs_on_nodes(plan, StudySync(folder), TrialResources(), lambda line: print(line, flush=True), workers=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
