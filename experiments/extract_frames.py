"""Turns videos into the frame folders of a dataset: `python experiments/extract_frames.py VIDEO_DIR OUT_DIR`.

Every VIDEO_DIR/NAME.mp4, .webm or .mov becomes OUT_DIR/NAME/NAME_0.jpg ... and NAME_properties.json, whose FPS is the
average frame rate of the video. Running the command again continues: complete clips are kept, changed videos are
extracted again. Exit codes: 0 done; 1 some videos are broken, the others are done; 2 invalid input.
"""

import argparse
from pathlib import Path

from hearai.cli import (
    DONE,
    PROBLEMS_FOUND,
    integer,
    positive,
    print_problems,
    print_text,
    processes,
    progress_bar,
    run_script,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    parser.add_argument(
        "video_dir", type=Path, metavar="VIDEO_DIR", help="folder of videos, including subfolders; not modified"
    )
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="the dataset folder to write")
    parser.add_argument(
        "--size", type=positive, metavar="PIXELS", help="shorter side of the images (default: unchanged)"
    )
    parser.add_argument(
        "--quality", type=integer(1, 100), default=90, metavar="1..100", help="quality of the JPEGs (default: 90)"
    )
    parser.add_argument("--workers", type=processes, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="extract everything again")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from hearai.data.tools.extract_frames import extract_frames

    result = extract_frames(**vars(args), progress=progress_bar("videos"))
    for note in result.notes:
        print_text(f"note: {note}")
    print(
        f"{result.videos} videos: {result.extracted} extracted ({result.frames} frames), "
        f"{result.complete} complete before, {len(result.problems)} broken"
    )
    print_problems(result.problems)
    return PROBLEMS_FOUND if result.problems else DONE


if __name__ == "__main__":
    run_script(main)
