"""Turns videos into the frame folders of a dataset: VIDEO_DIR/NAME.mp4 becomes OUT_DIR/NAME/NAME_0.jpg ...

    python experiments/extract_frames.py VIDEOS DATA --size 256

The same command again continues: complete clips are kept, changed videos are extracted again. Exit codes: 0 done; 1
some videos are broken, the others are done; 2 invalid input.
"""

from pathlib import Path

from hearai.cli import (
    DONE,
    PROBLEMS_FOUND,
    ScriptParser,
    positive,
    print_problems,
    print_text,
    processes,
    progress_bar,
    run_script,
)


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    parser.add_argument(
        "video_dir", type=Path, metavar="VIDEO_DIR", help="folder of videos, including subfolders; not modified"
    )
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="the dataset folder to write")
    parser.add_argument(
        "--size", type=positive, metavar="PIXELS", help="shorter side of the images (default: unchanged)"
    )
    parser.add_argument(
        "--quality", type=positive, default=90, metavar="1..100", help="quality of the JPEGs (default: 90)"
    )
    parser.add_argument("--workers", type=processes, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="extract everything again")
    parser.add_argument(
        "--keep-damaged",
        action="store_true",
        help="extract the readable frames of truncated and damaged videos, with a remark",
    )
    return parser


def main() -> int:
    args = make_parser().parse_args()
    from hearai.data.annotations.problems import first_of
    from hearai.data.tools.extract_frames import extract_frames

    result = extract_frames(**vars(args), progress=progress_bar("videos"))
    for note in first_of(result.notes, "more; each is in its NAME_properties.json"):
        print_text(f"note: {note}")
    print(
        f"{result.videos} videos: {result.extracted} extracted ({result.frames} frames), "
        f"{result.complete} complete before, {len(result.problems)} broken"
        f"{f', {result.damaged} kept although damaged' if result.damaged else ''}"
    )
    if result.left_out:
        print(f"left out, not videos: {result.left_out}")
    print_problems(result.problems)
    return PROBLEMS_FOUND if result.problems else DONE


if __name__ == "__main__":
    run_script(main)
