"""Shows all studies of a storage on a local web page.

    python experiments/dashboard.py
    python experiments/dashboard.py --storage s3://bucket/runs --port 8090

State, trials, best score, process, report, logs and tools of each study, refreshed every 5 s. Only this machine reaches
it, with the printed address; from another one: ssh -L PORT:127.0.0.1:PORT HOST. Ctrl-C ends it and the tools that it
started; the searches are not touched. Exit codes: 0 ended; 2 invalid input.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hearai.cli import DONE, ScriptParser, is_uri, port, print_text, run_script, storage_location
from hearai.errors import ConfigError


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    add = parser.add_argument
    storage_help = "folder of the studies, or s3://, gs:// (default: runs)"
    add("--storage", type=storage_location, default="runs", metavar="DIR|URI", help=storage_help)
    port_help = "port on 127.0.0.1 (default: a free one)"
    add("--port", type=port, default=0, metavar="N", help=port_help)
    return parser


@contextmanager
def opened(storage: str) -> Iterator[tuple[Path, Callable[[], str]]]:
    """(the folder of the studies, or of a copy that is kept up to date; a remark on it)."""
    if not is_uri(storage):
        folder = Path(storage)
        if not folder.is_dir():
            raise ConfigError(f"--storage {storage}: not a directory; give the folder of the studies")
        yield folder, str
        return
    from hearai.reporting.dashboard.store_copy import store_copy

    with store_copy(storage) as copy:
        yield copy.folder, copy.note


def main() -> int:
    args = make_parser().parse_args()
    from hearai.reporting.dashboard.server import dashboard_server

    with (
        opened(args.storage) as (folder, note),
        dashboard_server(folder, args.storage, port=args.port, note=note) as address,
    ):
        try:
            print_text(f"dashboard of {args.storage}: {address}\nCtrl-C ends it")
            threading.Event().wait()
        except KeyboardInterrupt:
            print_text("\nended; the searches are not touched")
    return DONE


if __name__ == "__main__":
    run_script(main)
