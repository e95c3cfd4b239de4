"""Compares studies on one page and in the terminal.

    python experiments/compare.py runs/tpe runs/gp
    python experiments/compare.py runs/tpe s3://bucket/runs/gp --out tpe_gp.html

Studies may be unfinished. Those with another dataset, split or objective are shown, but not ranked. Exit codes: 0 done;
2 invalid input.
"""

from pathlib import Path

from hearai.cli import DONE, ScriptParser, local_path, print_text, run_script


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    parser.add_argument(
        "studies", nargs="+", metavar="STUDY", help="a study folder, also a fetched one, or s3://, gs://"
    )
    out_help = "the page (default: compare.html)"
    parser.add_argument("--out", type=local_path, metavar="FILE.html", help=out_help)
    return parser


def main() -> int:
    args = make_parser().parse_args()
    from hearai.reporting.comparison.page import write_comparison

    page, option = (Path("compare.html"), "the default of --out,") if args.out is None else (args.out, "--out")
    print_text(write_comparison(args.studies, page, option))
    return DONE


if __name__ == "__main__":
    run_script(main)
