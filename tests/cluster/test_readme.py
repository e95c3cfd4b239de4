"""What cluster/README.md shows can be typed, and every file of the folder is told of."""

import re

from tests.helpers import ROOT

FOLDER = ROOT / "cluster"
TEXT = (FOLDER / "README.md").read_text()


def test_every_file_that_starts_something_is_in_the_readme() -> None:
    for path in FOLDER.rglob("*"):
        if path.suffix in {".yaml", ".sh", ".sbatch", ".py"} or path.name == "Dockerfile":
            assert path.name in TEXT, path.name


def test_files_and_options_in_its_commands_exist() -> None:
    for name in re.findall(r"cluster/[\w./-]+\w", TEXT):
        assert (ROOT / name).exists(), name
    tune = (ROOT / "experiments" / "tune.py").read_text()
    for options in re.findall(r"(?:submit\.py tune|tune\.sbatch) (--space[^\n#]*)", TEXT):
        for option in set(re.findall(r"--[a-z-]+", options)) - {"--address"}:
            assert f'"{option}"' in tune, option
    for space in re.findall(r"--space (\w+)", TEXT):
        assert (ROOT / "search_spaces" / f"{space}.yaml").exists()


def test_it_says_what_start_prints() -> None:
    script = (FOLDER / "local_cluster.sh").read_text()
    for words in (
        "log in with the token in",
        "submit      export RAY_AUTH_MODE=token RAY_API_SERVER_ADDRESS=",
        "preempted, its trials save and move; kill -9 PID: it died",
    ):
        assert words in script and words in TEXT


def test_no_line_is_wider_than_the_code() -> None:
    assert not [line for line in TEXT.splitlines() if len(line) > 120 and not line.startswith("|")]
