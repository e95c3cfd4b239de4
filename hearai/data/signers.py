"""Who signs in which clip: `signers.csv` beside the annotation file."""

from pathlib import Path

from hearai.data.clip_files import tidy_name
from hearai.data.problems import Problems
from hearai.data.texts import has_control, lines_of, shown

SIGNERS = "signers.csv"


def read_signers(path: Path, problems: Problems) -> dict[str, str] | None:
    """{clip name: signer} of `name,signer` rows (header optional); None where the file does not exist.

    Raises:
        DataError: the file cannot be read, or is no text.
    """
    if not path.exists():
        return None
    signers: dict[str, str] = {}
    shared: dict[str, str] = {}
    for number, line in lines_of(path):
        fields = [text.strip() for text in line.split(",")]
        if not line.strip() or fields == ["name", "signer"]:
            continue
        if len(fields) != 2 or not all(fields) or any(map(has_control, fields)):
            problems.add(f"rows of {SIGNERS}", f"{path}:{number}: found {shown(line)}; `name,signer` is due")
            continue
        name, signer = tidy_name(fields[0]) or fields[0], shared.setdefault(fields[1], fields[1])
        if signers.setdefault(name, signer) != signer:
            found = f"{name} has a second signer {shown(signer)}"
            problems.add(f"rows of {SIGNERS}", f"{path}:{number}: {found}; one is allowed")
    return signers
