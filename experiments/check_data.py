"""Checks dataset folders: every row, every picture (decoded), landmarks, lists: `python experiments/check_data.py DIR`.

Exit codes: 0 all is fine, remarks aside; 1 something is wrong; 2 there is no such folder or annotation file.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from hearai.cli import DONE, positive, run_script

WRONG = 1


def parse_args() -> argparse.Namespace:
    what, codes = __doc__.split("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=codes, allow_abbrev=False)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="dataset folder")
    every = "the only annotation file to check, inside each folder (default: every test_*.txt)"
    parser.add_argument("--annotation-file", metavar="FILE", help=every)
    parser.add_argument("--workers", type=positive, metavar="N", help="processes that decode (default: one a core)")
    return parser.parse_args()


def watched(clips: Iterable, total: int) -> Iterable:
    """With a progress bar, on a terminal that can show one."""
    if not sys.stderr.isatty():
        return clips
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:  # comes with the extra `search`
        return clips
    return track(clips, "checking clips", total=total, console=Console(stderr=True), transient=True)


def main() -> int:
    args = parse_args()
    from hearai.data.check import check_folders  # heavy imports come when the options are known to be good
    from hearai.data.check_report import as_text

    findings = check_folders(args.folders, args.annotation_file, workers=args.workers, watch=watched)
    print(as_text(findings))
    return WRONG if findings.wrong else DONE


if __name__ == "__main__":
    run_script(main)
