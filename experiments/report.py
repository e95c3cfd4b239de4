"""Regenerates a study's trials.csv, summary.json and report.html: `python experiments/report.py runs/hamnosys`.

Can be run while the search is running. Exit codes: 0 done; 2 the folder is not a study.
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, print_text, run_script


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    parser.add_argument("folder", type=Path, metavar="STUDY_DIR", help="study folder, such as runs/hamnosys")
    return parser.parse_args()


def main() -> int:
    folder = parse_args().folder
    from hearai.reporting.study_report.page import write_results

    print_text(write_results(folder))
    return DONE


if __name__ == "__main__":
    run_script(main)
