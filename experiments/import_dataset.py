"""Imports a public dataset; docs/datasets.md has every KIND.

    python experiments/import_dataset.py wlasl SOURCE DATA --limit 50
    python experiments/import_dataset.py folder_per_class VIDEOS DATA

Nothing is downloaded; what is missing is listed in DATA/missing.csv. The same command again continues. Exit codes: 0
done; 1 some files are broken, the others are done; 2 invalid input.
"""

import argparse
from pathlib import Path

from hearai.cli import (
    DONE,
    PROBLEMS_FOUND,
    ScriptParser,
    comma_separated,
    integer,
    positive,
    print_problems,
    print_text,
    processes,
    progress_bar,
    run_script,
)

KINDS = (
    *("folder_per_class", "csv", "wlasl", "msasl", "asl_citizen", "autsl", "include", "lsa64", "slovo", "bukva"),
    *("popsign", "kaggle_asl_signs", "semlex"),
)


RARE = (
    *("--videos", "--columns", "--times", "--face", "--models", "--quality", "--crop", "--no-trim", "--workers"),
    "--keep-damaged",
)
"""Options that `--help` names and `--help-all` explains."""


def columns(text: str) -> dict[str, str]:
    """Parses `video=path,gloss=label`."""
    pairs = [item.partition("=") for item in comma_separated(text)]
    if not pairs or any(not meaning.strip() or not column.strip() for meaning, _, column in pairs):
        raise argparse.ArgumentTypeError(f"got {text!r}; give MEANING=COLUMN, such as video=path,gloss=label")
    return {meaning.strip(): column.strip() for meaning, _, column in pairs}


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__, rare=RARE)
    add = parser.add_argument_group("dataset").add_argument
    add("kind", choices=KINDS, metavar="KIND", help=f"one of {', '.join(KINDS)}")
    add("source", type=Path, metavar="SOURCE", help="its folder as it was downloaded, or its metadata file")
    add("data", type=Path, metavar="DATA", help="the dataset folder to write")
    add("--videos", type=Path, metavar="FOLDER", help="folder of the videos (default: that of SOURCE)")
    columns_help = "columns of a table (KIND csv): video=..,gloss=..,signer=..,start=..,end=..,fps=..,split=.."
    add("--columns", type=columns, default={}, metavar="MEANING=COLUMN,...", help=columns_help)
    times_help = "unit of start and end of a table: seconds, or frames from 1 (default: seconds)"
    add("--times", choices=("seconds", "frames"), default="seconds", metavar="UNIT", help=times_help)
    add("--classes", type=positive, metavar="N", help="only classes 0..N-1, such as 100 for MS-ASL100")
    add("--limit", type=positive, metavar="N", help="only N clips, of the first classes, to try it")
    add = parser.add_argument_group("output").add_argument
    add("--frames", action="store_true", help="write frames (default where there are videos or images)")
    landmarks_help = "write landmarks: the dataset's own, else MediaPipe's"
    add("--landmarks", action="store_true", help=landmarks_help)
    add("--face", action="store_true", help="with --landmarks: also those of the face")
    add("--models", type=Path, metavar="DIR", help="folder of MediaPipe's models (default: the cache)")
    size_help = "shorter side of the images (default: 256; 0 = unchanged)"
    add("--size", type=integer(0, 8192), default=256, metavar="PIXELS", help=size_help)
    add("--quality", type=positive, default=90, metavar="1..100", help="quality of the JPEGs (default: 90)")
    add("--crop", action="store_true", help="crop to the box around the signer, where the dataset has one")
    add("--no-trim", dest="trim", action="store_false", help="whole videos, even if the dataset gives start and end")
    add("--workers", type=processes, metavar="N", help="processes (default: one per core)")
    add("--keep-damaged", action="store_true", help="use the readable frames of truncated and damaged videos")
    return parser


def main() -> int:
    args = vars(make_parser().parse_args())
    from hearai.data.annotations.problems import first_of
    from hearai.data.importers.run import Options, import_dataset
    from hearai.data.tools.check_splits import sizes_text

    kind, source, data = args.pop("kind"), args.pop("source"), args.pop("data")
    options = Options(**args | {"size": None if args["size"] == 0 else args["size"]})
    result = import_dataset(kind, source, data, options, progress_bar("files"))
    for note in first_of(result.notes, "more"):
        print_text(f"note: {note}")
    print(
        f"{result.clips} clips of {result.words} words: {result.imported} imported ({result.frames} frames), "
        f"{result.complete} complete before, {len(result.missing)} missing, {len(result.problems)} broken"
    )
    if result.missing:
        print_text(f"missing: listed in {data / 'missing.csv'}; the first is {result.missing[0].media}")
    print(f"official split: {sizes_text(result.splits) or 'none'}; signers: {result.signers or 'unknown'}")
    if result.has_landmarks_only:
        print("landmarks and no images; train with train_parameters: {frames: false, landmarks: true}")
    print_problems(result.problems)
    return PROBLEMS_FOUND if result.problems else DONE


if __name__ == "__main__":
    run_script(main)
