"""The commands in cluster/README.md are valid, and it mentions every file of the folder."""

import re

from tests.helpers import ROOT

FOLDER = ROOT / "cluster"
TEXT = (FOLDER / "README.md").read_text()


def test_every_file_is_in_the_readme() -> None:
    for path in FOLDER.rglob("*"):
        if path.suffix in {".yaml", ".sh", ".sbatch", ".py"} or path.name == "Dockerfile":
            assert path.name in TEXT, path.name


def test_files_and_options_of_commands_exist() -> None:
    for name in re.findall(r"cluster/[\w./-]+\w", TEXT):
        assert (ROOT / name).exists(), name
    tune = (ROOT / "experiments" / "tune.py").read_text()
    for options in re.findall(r"(?:submit\.py tune|tune\.sbatch) (--space[^\n#]*)", TEXT):
        for option in set(re.findall(r"--[a-z-]+", options)) - {"--address"}:
            assert f'"{option}"' in tune, option
    for space in re.findall(r"--space (\w+)", TEXT):
        assert (ROOT / "search_spaces" / f"{space}.yaml").exists()


def test_the_output_of_start_is_quoted_correctly() -> None:
    script = (FOLDER / "local_cluster.sh").read_text()
    for line in (
        "log in with the token in",
        "submit      export RAY_AUTH_MODE=token RAY_API_SERVER_ADDRESS=",
        "preemption (its trials save and resume elsewhere); kill -9 PID: failure",
    ):
        assert line in script and line in TEXT


def test_lines_are_no_longer_than_in_code() -> None:
    assert not [line for line in TEXT.splitlines() if len(line) > 120 and not line.startswith("|")]
