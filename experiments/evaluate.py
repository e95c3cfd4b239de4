"""Scores a trained model head by head, and writes confusion matrices.

    python experiments/evaluate.py --checkpoint runs/hamnosys
    python experiments/evaluate.py --checkpoint runs/mine --data-path OTHER

Without --data-path it scores the test clips of the model's own data; with it, all clips of that data, unless it is a
copy of the model's own. Exit codes: 0 done; 2 invalid input, or class numbers mean other words than the model's.
"""

from pathlib import Path

from hearai.cli import DONE, ScriptParser, add_code_option, add_data_options, gpu_index, print_text, run_script
from hearai.config.model_parts.code_folder import use_code
from hearai.files import require_writable_folder

RARE = ("--frame-pattern", "--follow-symlinks", "--code", "--skip-unseen", "--gpu")
"""Options that `--help` names and `--help-all` explains."""


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__, rare=RARE)
    group = parser.add_argument_group("model and data")
    add = group.add_argument
    add("--checkpoint", required=True, metavar="DIR", help="a run, its best folder, or a study")
    add("--data-path", action="append", default=[], metavar="DIR", help="dataset folder; repeatable")
    add(
        "--split",
        choices=("train", "val", "test", "all"),
        metavar="SPLIT",
        help="train, val, test or all",
    )
    add_data_options(group)
    add_code_option(group)
    add = parser.add_argument_group("scores").add_argument
    match_help = "by words, or by numbers whatever the class lists say"
    add("--match", choices=("words", "numbers"), metavar="HOW", help=match_help)
    skip_help = "leave out labels that the model was not trained on (default: they count as wrong)"
    add("--skip-unseen", action="store_true", help=skip_help)
    out_help = "output folder (default: evaluation-SPLIT of the model)"
    add("--out", type=Path, metavar="DIR", help=out_help)
    calibrate_help = "first measure when not to believe the model"
    add("--calibrate", action="store_true", help=calibrate_help)
    add("--gpu", type=gpu_index, default=0, metavar="N", help="which GPU; -1 is the CPU (default: 0)")
    return parser


def main() -> int:
    args = make_parser().parse_args()
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
        add_reliability(best, device, copies=args.data_path)
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
