"""Drops frames without motion from a dataset; OUT_DIR becomes a complete dataset folder.

    python experiments/extract_keyframes.py DATA DATA-moving

A frame is kept if it differs from the last kept one. The same command again continues. Exit codes: 0 done; 1 some clips
are broken and left out; 2 invalid input.
"""

from pathlib import Path

from hearai.cli import (
    DONE,
    PROBLEMS_FOUND,
    ScriptParser,
    add_data_options,
    positive,
    print_problems,
    processes,
    progress_bar,
    run_script,
)
from hearai.data.tools.motion import THRESHOLD

RARE = ("--annotation-file", "--frame-pattern", "--follow-symlinks")
"""Options that `--help` names and `--help-all` explains."""


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__, rare=RARE)
    add = parser.add_argument
    add("data_dir", type=Path, metavar="DATA_DIR", help="a dataset folder; not modified")
    add("out_dir", type=Path, metavar="OUT_DIR", help="the new dataset folder")
    file_help = "one in DATA_DIR (default: test_hamnosys.txt, test_gloss.txt)"
    add("--annotation-file", metavar="FILE", help=file_help)
    threshold_help = f"mean difference in brightness that is motion, 0..1 of full scale (default: {THRESHOLD})"
    add("--threshold", type=float, default=THRESHOLD, metavar="SHARE", help=threshold_help)
    minimum_help = "frames that every clip keeps at least (default: 2)"
    add("--minimum", type=positive, default=2, metavar="FRAMES", help=minimum_help)
    add_data_options(parser)
    add("--workers", type=processes, metavar="N", help="processes (default: one per core)")
    return parser


def main() -> int:
    args = make_parser().parse_args()
    from hearai.data.tools.extract_keyframes import extract_keyframes

    result = extract_keyframes(**vars(args), progress=progress_bar("clips"))
    share = f" ({result.after / result.before:.0%})" if result.before else ""
    print(
        f"{result.clips} clips: {result.before} frames before, {result.after} after{share}; "
        f"{result.complete} complete before, {len(result.problems)} broken"
    )
    print_problems(result.problems)
    return PROBLEMS_FOUND if result.problems else DONE


if __name__ == "__main__":
    run_script(main)
