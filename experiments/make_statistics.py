"""Counts the labels of an annotation file: a CSV file and plots. The frames need not exist.

    python experiments/make_statistics.py --file_path DATA/test_gloss.txt \\
        --output_directory statistics

Exit codes: 0 done; 2 rows of the file are invalid, or the folder cannot be written.
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, ScriptParser, local_path, print_text, run_script


def separator(text: str) -> str:
    """One character; a literal `\\t`, as a shell passes it, is a tab."""
    mark = {r"\t": "\t"}.get(text, text)
    if len(mark) != 1 or mark in '"\r\n' or mark.isalnum():
        raise argparse.ArgumentTypeError(rf"got {text!r}; expected one character such as ',' or ';', or \t for a tab")
    return mark


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    file_help = "rows of name, start, end and labels; labels other than a gloss or the eight heads need a header"
    parser.add_argument("--file_path", type=Path, required=True, metavar="FILE", help=file_help)
    parser.add_argument(
        "--output_directory", type=local_path, required=True, metavar="DIR", help="created if it does not exist"
    )
    separator_help = r"character between the columns (default: any whitespace); \t is a tab"
    parser.add_argument("--separator", type=separator, metavar="CHAR", help=separator_help)
    return parser


def main() -> int:
    args = make_parser().parse_args()
    from hearai.reporting.label_statistics.statistics import write_statistics

    print_text(write_statistics(args.file_path, args.output_directory, args.separator))
    return DONE


if __name__ == "__main__":
    run_script(main)
