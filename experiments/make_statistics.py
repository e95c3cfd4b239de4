"""Label counts of a dataset: `python experiments/make_statistics.py --file_path FILE --output_directory DIR`.

Writes a CSV file and plots; the frames need not exist.
Exit codes: 0 done; 2 rows of the file are invalid, or the folder cannot be written.
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, local_path, print_text, run_script


def separator(text: str) -> str:
    """One character; a literal `\\t`, as a shell passes it, is a tab."""
    mark = {r"\t": "\t"}.get(text, text)
    if len(mark) != 1 or mark in '"\r\n' or mark.isalnum():
        raise argparse.ArgumentTypeError(rf"got {text!r}; expected one character such as ',' or ';', or \t for a tab")
    return mark


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    file_help = "rows of name, start, end and labels; labels other than a gloss or the eight heads need a header"
    parser.add_argument("--file_path", type=Path, required=True, metavar="FILE", help=file_help)
    parser.add_argument(
        "--output_directory", type=local_path, required=True, metavar="DIR", help="created if it does not exist"
    )
    separator_help = r"character between the columns (default: any whitespace); \t is a tab"
    parser.add_argument("--separator", type=separator, metavar="CHAR", help=separator_help)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from hearai.reporting.label_statistics.statistics import write_statistics

    print_text(write_statistics(args.file_path, args.output_directory, args.separator))
    return DONE


if __name__ == "__main__":
    run_script(main)
