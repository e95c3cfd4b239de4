"""Lists, shows and deletes studies and caches.

    python experiments/studies.py list
    python experiments/studies.py show hamnosys
    python experiments/studies.py delete hamnosys --cache features

list: state, size and age of every study, and the caches. Deleted caches are made again when needed. Exit codes: 0 done;
2 invalid input.
"""

import argparse
import sys
from pathlib import Path

from hearai.cli import DONE, ScriptParser, local_path, print_text, run_script
from hearai.errors import ConfigError, printable


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    parser.add_argument("action", choices=("list", "show", "delete"), help="what to do")
    parser.add_argument("names", nargs="*", metavar="STUDY", help="for show (one) and delete")
    parser.add_argument(
        "--cache", nargs="*", metavar="KIND", help="delete caches: demo, features, pretrained (default: all)"
    )
    parser.add_argument(
        "--storage", type=local_path, default=Path("runs"), metavar="DIR", help="folder of the studies (default: runs)"
    )
    parser.add_argument("--yes", action="store_true", help="delete without confirmation")
    return parser


def confirm(question: str, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} Cannot prompt: stdin is not a terminal. Pass --yes.")
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        return False


def delete(args: argparse.Namespace) -> None:
    from hearai.reporting.study_list import delete_caches, delete_studies, find_study

    folders = [find_study(args.storage, name) for name in dict.fromkeys(args.names)]
    shown = printable(", ".join(map(str, folders)))
    if not folders and args.cache is None:
        raise ConfigError("delete: nothing to delete; give the names of studies, or --cache")
    if folders and confirm(f"delete {shown}?", args.yes):
        delete_studies(folders)
        print(f"deleted: {shown}")
    if args.cache is not None and confirm(f"delete caches ({', '.join(args.cache) or 'all'})?", args.yes):
        for info in delete_caches(args.cache, args.storage):
            print(f"deleted: {info.folder}")


def main() -> int:
    args = make_parser().parse_args()
    if args.storage.exists() and not args.storage.is_dir():
        raise ConfigError(f"--storage {args.storage}: is a file; give the folder of the studies")
    from hearai.reporting.study_list import find_study, studies_text
    from hearai.reporting.study_report.page import write_results

    if args.action == "list":
        for line in studies_text(args.storage):
            print_text(line)
    elif args.action == "show":
        if len(args.names) != 1:
            raise ConfigError(f"show: got {len(args.names)} names; give the name of one study")
        print_text(write_results(find_study(args.storage, args.names[0])))
    else:
        delete(args)
    return DONE


if __name__ == "__main__":
    run_script(main)
