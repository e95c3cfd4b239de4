"""The file with everything that a search has printed."""

import logging
import pickle
from pathlib import Path

from hearai.search.storage.output_log import output_log


def test_printed_and_logged_lines_are_also_in_the_study_folder(tmp_path: Path) -> None:
    printed: list[str] = []
    logger = logging.getLogger("hearai.training")
    before = logging.getLogger("hearai").level
    logging.getLogger("hearai").setLevel(logging.INFO)
    for call in ("first", "second"):
        with output_log(tmp_path, printed.append) as print_line:
            print_line(f"{call} é")
            logger.info("epoch %d", 1)
            pickle.dumps(print_line)
        logger.info("not part of the search")
    logging.getLogger("hearai").setLevel(before)
    lines = (tmp_path / "output.log").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("--- 20")] == ["first é", "epoch 1", "second é", "epoch 1"]
    assert len(lines) == 6 and printed == ["first é", "second é"]


def test_a_full_disk_stops_no_output(tmp_path: Path) -> None:
    (tmp_path / "output.log").symlink_to("/dev/full")
    printed: list[str] = []
    with output_log(tmp_path, printed.append) as print_line:
        print_line("line")
        logging.getLogger("hearai").warning("logged")
    assert printed == ["line"]
