"""How often each class occurs: `python experiments/make_statistics.py --file_path FILE --output_directory DIR`.

Reads an annotation file (the frames need not be there) and writes a CSV file and pictures.
Exit codes: 0 done; 2 rows of the file are wrong, or the folder cannot be written.
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, local_folder, run_script


def separator(text: str) -> str:
    """One character; `\\t` as a shell hands it over is a tab."""
    mark = {r"\t": "\t"}.get(text, text)
    if len(mark) != 1 or mark in '"\r\n' or mark.isalnum():
        raise argparse.ArgumentTypeError(rf"got {text!r}; give one character such as ',' or ';', or \t for a tab")
    return mark


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    columns = "rows of name, start, end and labels; a header is needed for labels other than a gloss or the eight heads"
    parser.add_argument("--file_path", type=Path, required=True, metavar="FILE", help=columns)
    parser.add_argument("--output_directory", type=local_folder, required=True, metavar="DIR", help="made if need be")
    between = r"what stands between the columns (default: any white space); \t is a tab"
    parser.add_argument("--separator", type=separator, metavar="CHAR", help=between)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from hearai.reporting.label_statistics.statistics import write_statistics

    print(write_statistics(args.file_path, args.output_directory, args.separator))
    return DONE


if __name__ == "__main__":
    run_script(main)
