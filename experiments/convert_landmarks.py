"""Turns landmark files of other tools into ours, OUT/NAME/NAME.npz, and lists the skeletons that were recognised.

    python experiments/convert_landmarks.py SOURCE DATA

Reads .pose, .parquet (Kaggle ASL Signs) and .npy files and folders of OpenPose's JSON files. Exit codes: 0 done; 1 some
files are broken, the others are done; 2 invalid input.
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
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of landmark files; not modified")
    parser.add_argument("out_dir", type=Path, metavar="OUT", help="the dataset folder to write")
    parser.add_argument(
        "--size",
        type=positive,
        nargs=2,
        metavar=("WIDTH", "HEIGHT"),
        help="of the images, pixels (default: as the files say)",
    )
    parser.add_argument("--face", action="store_true", help="also the face, where a file has MediaPipe's")
    parser.add_argument("--workers", type=processes, metavar="N", help="processes (default: one per core)")
    return parser


def main() -> int:
    args = make_parser().parse_args()
    from hearai.data.tools.convert_landmarks import convert_landmarks

    size = tuple(args.size) if args.size else None
    result = convert_landmarks(
        args.source, args.out_dir, size=size, face=args.face, workers=args.workers, progress=progress_bar("files")
    )
    for skeleton, count in result.skeletons.most_common():
        print_text(f"{count} x {skeleton}")
    for note, count in result.notes.most_common():
        print_text(f"note: {note} ({count} files)")
    done = sum(result.skeletons.values())
    print(f"{result.files} files: {done} converted ({result.frames} frames), {len(result.problems)} broken")
    print_problems(result.problems)
    return PROBLEMS_FOUND if result.problems else DONE


if __name__ == "__main__":
    run_script(main)
