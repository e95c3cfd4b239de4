"""Scores a trained model head by head: `python experiments/evaluate.py --checkpoint runs/hamnosys/best`

Without --data-path it scores the test clips of the model's own data; with it, all clips of that data, unless it is a
copy of the model's own. Exit codes: 0 done; 2 bad input.
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, gpu_index, print_text, run_script


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    parser.add_argument("--checkpoint", required=True, metavar="DIR", help="a run, its best folder, or a study")
    parser.add_argument("--data-path", action="append", default=[], metavar="DIR", help="dataset folder; repeatable")
    parser.add_argument("--split", choices=("train", "val", "test", "all"), help="which clips to score")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="output folder (default: evaluation-SPLIT in the checkpoint's folder)"
    )
    parser.add_argument("--gpu", type=gpu_index, default=0, metavar="N", help="which GPU; -1 is the CPU (default: 0)")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from hearai.reporting.assessment import (
        assessment_text,
        write_assessment,
    )  # heavy imports only after the options are checked
    from hearai.training.inference.assess import assess
    from hearai.training.inference.trained_model import find_best, load_trained
    from hearai.training.runtime import choose_device

    best = find_best(args.checkpoint)
    assessment = assess(load_trained(best, choose_device(args.gpu)), args.data_path, args.split)
    print_text(assessment_text(assessment))
    out = write_assessment(assessment, args.out or best / f"evaluation-{assessment.split}")
    print(f"\nfigures and confusion matrices: {out}")
    return DONE


if __name__ == "__main__":
    run_script(main)
