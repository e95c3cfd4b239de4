"""Checks dataset folders: rows, images (decoded), landmarks, class lists.

    python experiments/check_data.py DATA
    python experiments/check_data.py DATA --frame-pattern 'img_{number}.png'

Exit codes: 0 no problems (there may be warnings); 1 problems; 2 the folder or annotation file does not exist.
"""

from pathlib import Path

from hearai.cli import (
    DONE,
    PROBLEMS_FOUND,
    ScriptParser,
    add_data_options,
    local_path,
    print_text,
    processes,
    progress_bar,
    run_script,
)


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="dataset folder")
    file_help = "only this one in each folder (default: test_*.txt)"
    parser.add_argument("--annotation-file", metavar="FILE", help=file_help)
    add_data_options(parser)
    parser.add_argument(
        "--contact-sheet",
        type=local_path,
        metavar="OUT.png",
        help="also draw up to 36 clips with their labels",
    )
    parser.add_argument("--workers", type=processes, metavar="N", help="processes that decode (default: one per core)")
    return parser


def main() -> int:
    args = make_parser().parse_args()
    from hearai.data.tools.check_data import check_data  # slow imports: only once the options are valid
    from hearai.data.tools.check_report import format_report
    from hearai.reporting.clip_images.contact_sheet import check_sheet_path, write_contact_sheet

    if args.contact_sheet:
        check_sheet_path(args.contact_sheet)
    progress = progress_bar("checking clips")
    result = check_data(
        args.folders,
        args.annotation_file,
        frame_pattern=args.frame_pattern,
        follow_symlinks=args.follow_symlinks,
        workers=args.workers,
        progress=progress,
    )
    print_text(format_report(result))
    if args.contact_sheet:
        clips = result.labelled_clips
        shown = write_contact_sheet(clips, result.class_names, args.contact_sheet) if clips else "no row is valid"
        print_text(f"contact sheet: {args.contact_sheet if clips else 'not written'} ({shown})")
    return PROBLEMS_FOUND if result.problem_count else DONE


if __name__ == "__main__":
    run_script(main)
