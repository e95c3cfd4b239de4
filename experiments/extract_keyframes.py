"""Drops frames without motion from a dataset: `python experiments/extract_keyframes.py DATA_DIR OUT_DIR`.

A frame is kept if it differs from the last kept one; a still beginning is dropped entirely. OUT_DIR becomes a dataset
folder with the same images, renumbered, and matching annotation files. Clips that lost frames in between no longer have
an FPS. Running the command again continues. Exit codes: 0 done; 1 some clips are broken and left out; 2 invalid input.
"""

import argparse
from pathlib import Path

from hearai.cli import (
    DONE,
    PROBLEMS_FOUND,
    add_data_options,
    positive,
    print_problems,
    processes,
    progress_bar,
    run_script,
)
from hearai.data.tools.motion import THRESHOLD


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    parser.add_argument("data_dir", type=Path, metavar="DATA_DIR", help="a dataset folder; not modified")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="the new dataset folder")
    parser.add_argument(
        "--annotation-file",
        metavar="FILE",
        help="annotation file in DATA_DIR (default: test_hamnosys.txt and test_gloss.txt)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        metavar="SHARE",
        help=f"mean difference in brightness that counts as motion, 0..1 of full scale (default: {THRESHOLD})",
    )
    parser.add_argument(
        "--minimum",
        type=positive,
        default=2,
        metavar="FRAMES",
        help="number of frames that every clip keeps at least (default: 2)",
    )
    add_data_options(parser)
    parser.add_argument("--workers", type=processes, metavar="N", help="processes (default: one per core)")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
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
