"""Compares studies on one page: `python experiments/compare.py runs/A runs/B`

Writes compare.html and prints scores, cost and differences. Studies may be
unfinished. Those with another dataset, split or objective are shown, but not
ranked. Exit codes: 0 done; 2 invalid input.

Example:
  python experiments/compare.py runs/tpe s3://bucket/runs/gp --out tpe_gp.html
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, local_path, print_text, run_script


def parse_args() -> argparse.Namespace:
    description, details = __doc__.split("\n\n", 1)
    parser = argparse.ArgumentParser(
        description=description,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "studies", nargs="+", metavar="STUDY", help="a study folder, also one that submit.py fetched, or s3://, gs://"
    )
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path("compare.html"),
        metavar="FILE.html",
        help="the page (default: compare.html)",
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from hearai.reporting.comparison.page import write_comparison

    print_text(write_comparison(args.studies, args.out))
    return DONE


if __name__ == "__main__":
    run_script(main)
