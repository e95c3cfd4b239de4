"""Checks dataset folders: every row, every picture (decoded), landmarks, lists: `python experiments/check_data.py DIR`.

Exit codes: 0 all is fine, remarks aside; 1 something is wrong; 2 there is no such folder or annotation file.
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, SOME_BROKEN, positive, progress_bar, run_script


def parse_args() -> argparse.Namespace:
    what, codes = __doc__.split("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=codes, allow_abbrev=False)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="dataset folder")
    every = "the only annotation file to check, inside each folder (default: every test_*.txt)"
    parser.add_argument("--annotation-file", metavar="FILE", help=every)
    parser.add_argument("--workers", type=positive, metavar="N", help="processes that decode (default: one a core)")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from hearai.data.tools.check_data import check_folders  # heavy imports come when the options are known to be good
    from hearai.data.tools.check_report import as_text

    watch = progress_bar("checking clips")
    findings = check_folders(args.folders, args.annotation_file, workers=args.workers, watch=watch)
    print(as_text(findings))
    return SOME_BROKEN if findings.wrong else DONE


if __name__ == "__main__":
    run_script(main)
