"""Turns landmark files of other tools into ours: `python experiments/convert_landmarks.py SOURCE OUT`.

Every .pose, .parquet (Kaggle ASL Signs) and .npy file and every folder of OpenPose's JSON files in SOURCE becomes
OUT/NAME/NAME.npz; the skeletons that were recognised are listed. Exit codes: 0 done; 1 some files are broken, the
others are done; 2 invalid input.
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, PROBLEMS_FOUND, positive, print_problems, print_text, processes, progress_bar, run_script


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
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
    return parser.parse_args()


def main() -> int:
    args = parse_args()
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
