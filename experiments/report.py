"""Writes a study's trials.csv, summary.json and report.html again, also while the search is running.

    python experiments/report.py runs/hamnosys

Exit codes: 0 done; 2 the folder is not a study.
"""

from pathlib import Path

from hearai.cli import DONE, ScriptParser, print_text, run_script


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    parser.add_argument("folder", type=Path, metavar="STUDY_DIR", help="study folder, such as runs/hamnosys")
    return parser


def main() -> int:
    folder = make_parser().parse_args().folder
    from hearai.reporting.study_report.page import write_results

    print_text(write_results(folder))
    return DONE


if __name__ == "__main__":
    run_script(main)
