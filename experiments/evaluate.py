"""Scores a trained model head by head: `python experiments/evaluate.py --checkpoint runs/hamnosys/best`

Without --data-path it scores the test clips of the model's own data; with it, all clips of that data, unless it is a
copy of the model's own. Data whose class numbers mean other words than the model's is refused; --match says how to
compare them. Exit codes: 0 done; 2 bad input.
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, add_code_option, add_data_options, gpu_index, print_text, run_script
from hearai.config.model_parts.code_folder import use_code
from hearai.files import require_writable_folder


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    parser.add_argument("--checkpoint", required=True, metavar="DIR", help="a run, its best folder, or a study")
    parser.add_argument("--data-path", action="append", default=[], metavar="DIR", help="dataset folder; repeatable")
    add_data_options(parser)
    parser.add_argument(
        "--match",
        choices=("words", "numbers"),
        help="compare classes by the words in glosses.csv and classes.csv, or by number whatever these say (default: "
        "by number, and refuse numbers that have two words)",
    )
    parser.add_argument(
        "--skip-unseen",
        action="store_true",
        help="leave out labels that the model was not trained on (default: they count as wrong)",
    )
    parser.add_argument("--split", choices=("train", "val", "test", "all"), help="which clips to score")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="output folder (default: evaluation-SPLIT in the checkpoint's folder)"
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="first measure on the model's validation clips when it should not be believed, and store that with it; "
        "only trials of a search and older runs lack it",
    )
    parser.add_argument("--gpu", type=gpu_index, default=0, metavar="N", help="which GPU; -1 is the CPU (default: 0)")
    add_code_option(parser)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    use_code(args.code)
    from hearai.reporting.assessment import (
        assessment_text,
        write_assessment,
    )  # heavy imports only after the options are checked
    from hearai.training.inference.assess import assess
    from hearai.training.inference.measure_reliability import add_reliability
    from hearai.training.inference.trained_model import find_best, load_trained
    from hearai.training.optim.torch_options import use_threads
    from hearai.training.runtime import choose_device

    use_threads()

    best = find_best(args.checkpoint)
    require_writable_folder(args.out or best, "--out")
    device = choose_device(args.gpu)
    if args.calibrate:
        add_reliability(best, device)
    trained = load_trained(best, device)
    given = {"frame_pattern": args.frame_pattern, "follow_symlinks": args.follow_symlinks}
    assessment = assess(
        trained,
        args.data_path,
        args.split,
        match_by=args.match,
        skip_unseen=args.skip_unseen,
        reading={option: value for option, value in given.items() if value},  # the others are those of the model
    )
    print_text(assessment_text(assessment))
    out = write_assessment(assessment, args.out or best / f"evaluation-{assessment.split}")
    print(f"\nfigures, confusion matrices, and the predictions of each clip (predictions.csv): {out}")
    return DONE


if __name__ == "__main__":
    run_script(main)
