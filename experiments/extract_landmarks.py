"""Finds the points of hands and body in videos, or in the frames of a dataset: OUT/NAME/NAME.npz for each.

    python experiments/extract_landmarks.py VIDEOS DATA
    python experiments/extract_landmarks.py DATA DATA --preview

MediaPipe finds them (make landmarks); nothing is downloaded. The same command again continues. Exit codes: 0 done; 1
some clips are broken, the others are done; 2 invalid input.
"""

from pathlib import Path

from hearai.cli import DONE, PROBLEMS_FOUND, ScriptParser, print_problems, processes, progress_bar, run_script


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of videos, or a dataset folder with frames")
    parser.add_argument("out_dir", type=Path, metavar="OUT", help="the folder to write")
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of MediaPipe's models (default: the cache)")
    parser.add_argument("--face", action="store_true", help="also the face mesh, which few models read")
    parser.add_argument("--format", choices=["npz", "pose"], default="npz", help="npz: ours; pose: .pose files")
    parser.add_argument("--preview", action="store_true", help="also NAME_preview.jpg: a frame with its points")
    parser.add_argument("--workers", type=processes, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="extract everything again")
    return parser


def main() -> int:
    args = make_parser().parse_args()
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
