"""Writes a study's report.html, report.md, trials.csv and summary.json again, also while the search is running.

    python experiments/report.py runs/hamnosys
    python experiments/report.py runs/hamnosys --serve

With --serve the page in the browser follows the search until Ctrl-C. Exit codes: 0 done; 2 the folder is not a study,
or the port is in use.
"""

from pathlib import Path

from hearai.cli import DONE, ScriptParser, port, print_text, run_script
from hearai.errors import ConfigError


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    parser.add_argument("folder", type=Path, metavar="STUDY_DIR", help="study folder, such as runs/hamnosys")
    parser.add_argument(
        "--serve", action="store_true", help="serve the page on this machine, and refresh it while the search runs"
    )
    port_help = "port of --serve (default: a free one)"
    parser.add_argument("--port", type=port, metavar="N", help=port_help)
    return parser


def serve(folder: Path, port: int) -> None:
    from hearai.reporting.live.page_server import page_server

    with page_server(folder, port) as server:
        print_text(f"{server.url}\nserved on this machine only; Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print_text("ended")


def main() -> int:
    args = make_parser().parse_args()
    if args.port is not None and not args.serve:
        raise ConfigError("--port: requires --serve")
    from hearai.reporting.study_report.page import write_results

    print_text(write_results(args.folder))
    if args.serve:
        serve(args.folder, args.port or 0)
    return DONE


if __name__ == "__main__":
    run_script(main)
