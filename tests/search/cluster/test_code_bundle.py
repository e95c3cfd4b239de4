"""What is sent to the cluster with a submitted search."""

import subprocess
from pathlib import Path

import pytest

from hearai.search.cluster import code_bundle
from hearai.search.cluster.code_bundle import CODE_SUFFIXES, bundle_code, bundle_lines, code_files, left_out_lines
from tests.helpers import ROOT
from tests.helpers.text_files import write_text


@pytest.mark.heavy
def test_all_code_and_nothing_else_is_sent() -> None:
    with bundle_code(["--space", "hamnosys"]) as (folder, arguments):
        assert sorted(path.name for path in folder.iterdir()) == ["experiments", "hearai", "search_spaces"]
        assert all((folder / name).is_file() for name in ("experiments/tune.py", "hearai/sign/hamnosys_tables.json"))
        assert not list(folder.rglob("__pycache__"))
        assert arguments == ["--space", "hamnosys"], "a shipped space is part of the code"
    assert not folder.exists()


def test_every_kind_of_file_of_the_package_is_sent() -> None:
    """A template or script that is missing on the cluster is missed at the end of a search."""
    kinds = {path.suffix for path in (ROOT / "hearai").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert kinds - {".pyc"} <= set(CODE_SUFFIXES)


@pytest.mark.heavy
@pytest.mark.parametrize("form", ["two arguments", "one argument"])
def test_local_files_are_sent_and_options_name_the_copies(form: str, tmp_path: Path) -> None:
    files = {"--space": "my space.yaml", "--config": "base.yml", "--warm-start": "journal.log"}
    arguments: list[str] = []
    for option, name in files.items():
        (tmp_path / name).write_text(option)
        arguments += [option, str(tmp_path / name)] if form == "two arguments" else [f"{option}={tmp_path / name}"]
    with bundle_code(arguments) as (folder, bundled):
        if form == "one argument":
            bundled = [part for argument in bundled for part in argument.split("=")]
        assert bundled[::2] == list(files)
        for option, path in zip(bundled[::2], bundled[1::2], strict=True):
            assert not Path(path).is_absolute() and Path(path).name == files[option]
            assert (folder / path).read_text() == option


@pytest.mark.heavy
def test_two_files_of_the_same_name_are_kept_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.yaml").write_text(name)
    arguments = ["--space", str(tmp_path / "a/x.yaml"), "--config", str(tmp_path / "b/x.yaml")]
    with bundle_code(arguments) as (folder, bundled):
        assert [(folder / path).read_text() for path in bundled[1::2]] == ["a", "b"]


@pytest.mark.heavy
def test_journals_are_sent_with_the_records_of_their_studies(tmp_path: Path) -> None:
    arguments = []
    for name in ("a", "b"):
        for file in ("journal.log", "study.yaml", "class_names.csv", "split.csv"):
            write_text(tmp_path / name / file, f"{name} {file}")
        arguments += ["--warm-start", str(tmp_path / name / "journal.log")]
    (tmp_path / "b" / "class_names.csv").unlink()
    with bundle_code(arguments) as (folder, bundled):
        sent = [sorted(path.read_text() for path in (folder / path).parent.iterdir()) for path in bundled[1::2]]
    assert sent == [["a class_names.csv", "a journal.log", "a study.yaml"], ["b journal.log", "b study.yaml"]]
    assert any(f"{tmp_path}/b/study.yaml (given by --warm-start)" in line for line in bundle_lines(arguments))


@pytest.mark.heavy
def test_other_arguments_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values with spaces, a study named like a local file, a file that exists on the cluster only, a space's name."""
    monkeypatch.chdir(tmp_path)
    for name in ("base.yml", "hamnosys"):
        Path(name).write_text("")
    arguments = ["--name", "base.yml", "--data-path", "/data/two words", "--set", "a.b=[1, 2]", "--space", "hamnosys"]
    arguments += ["--warm-start", "/shared/runs/x/journal.log", "--retrain"]
    with bundle_code(arguments) as (folder, bundled):
        assert bundled == arguments
        assert not (folder / "given").exists()


SECRETS = [
    *("hearai/.env", "experiments/.env.yaml", "hearai/key.pem", "hearai/id_rsa", "search_spaces/.git/config.yaml"),
    *("hearai/.venv/x.py", "hearai/runs/weights.pt", "hearai/__pycache__/a.py", "secrets.json", "hearai/core.py~"),
]


def checkout(root: Path) -> Path:
    """Code, secrets among it, another folder behind a link, and a link to a file."""
    for name in ("hearai/a.py", "hearai/sub/table.json", "experiments/tune.py", "search_spaces/own.yaml", *SECRETS):
        write_text(root / name, name)
    write_text(root.parent / "elsewhere" / "private.py", "x")
    (root / "hearai" / "linked").symlink_to(root.parent / "elsewhere", target_is_directory=True)
    (root / "hearai" / "link.py").symlink_to(root.parent / "elsewhere" / "private.py")
    return root


CODE = ["experiments/tune.py", "hearai/a.py", "hearai/sub/table.json", "search_spaces/own.yaml"]


@pytest.mark.parametrize("versioned", [False, True])
def test_secrets_and_links_beside_the_code_are_not_sent(
    versioned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = checkout(tmp_path / "checkout")
    if versioned:
        for command in (["init", "-q"], ["add", "-f", "-A"]):  # even if they were added
            subprocess.run(["git", "-C", str(root), *command], check=True)
    monkeypatch.setattr(code_bundle, "ROOT", root)
    with bundle_code([]) as (folder, _):
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == CODE


def test_code_that_git_does_not_track_is_left_out_and_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = checkout(tmp_path / "checkout")
    for command in (["init", "-q"], ["add", *CODE[:3]]):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    (root / "hearai" / "a.py").write_text("changed since")
    assert [path.as_posix() for path in code_files(root).left_out] == ["hearai/link.py", CODE[3]]
    monkeypatch.setattr(code_bundle, "ROOT", root)
    mine = tmp_path / "mine.yaml"
    mine.write_text("x")
    assert left_out_lines() == [
        "not sent, because git does not track it or it is a link:",
        "  hearai/link.py",
        f"  {CODE[3]}",
    ]
    lines = bundle_lines(["--space", str(mine), f"--config={mine}", "--name", "x"])
    assert lines[0].startswith("5 files would be sent")
    assert [line.strip() for line in lines[1:]] == [
        *CODE[:3],
        *(f"{mine} (given by {option})" for option in ("--space", "--config")),
        "not sent, because git does not track it or it is a link:",
        *("hearai/link.py", CODE[3]),
    ]
