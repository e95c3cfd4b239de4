"""Finds the points of hands and body in videos or frames: `python experiments/extract_landmarks.py SOURCE OUT`.

Every video SOURCE/NAME.mp4, or every clip of a dataset folder SOURCE with frames, becomes OUT/NAME/NAME.npz; OUT may be
the dataset folder itself. MediaPipe finds the points (pip install 'hearai[landmarks]'); nothing is downloaded. Running
the command again continues. Exit codes: 0 done; 1 some clips are broken, the others are done; 2 invalid input.
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, PROBLEMS_FOUND, print_problems, processes, progress_bar, run_script


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of videos, or a dataset folder with frames")
    parser.add_argument("out_dir", type=Path, metavar="OUT", help="the folder to write")
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of MediaPipe's models (default: the cache)")
    parser.add_argument(
        "--face", action="store_true", help="also the face mesh, for models that read face_lips, face_nose or face_eyes"
    )
    parser.add_argument("--format", choices=["npz", "pose"], default="npz", help="npz: ours; pose: .pose files")
    parser.add_argument(
        "--preview", action="store_true", help="also NAME_preview.jpg: the frame in the middle with its points"
    )
    parser.add_argument("--workers", type=processes, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="extract everything again")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from hearai.data.tools.extract_landmarks import extract_landmarks

    result = extract_landmarks(**vars(args), progress=progress_bar("clips"))
    print(
        f"{result.clips} clips: {result.extracted} extracted ({result.frames} frames), "
        f"{result.complete} complete before, {len(result.problems)} broken"
    )
    if result.left_out:
        print(f"left out, not videos: {result.left_out}")
    print_problems(result.problems)
    return PROBLEMS_FOUND if result.problems else DONE


if __name__ == "__main__":
    run_script(main)
