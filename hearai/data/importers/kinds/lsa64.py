"""LSA64: the file name is sign, signer and repetition; the usual split is by signer, since there is no official one."""

import re

from hearai.data.importers.samples import Samples
from hearai.data.importers.source import Source
from hearai.data.importers.tables import read_rows
from hearai.data.videos import SUFFIXES
from hearai.errors import DataError

NAME = re.compile(r"(\d{3})_(\d{3})_(\d{3})")
SIGNS = "lsa64_signs.md"
SIGNERS = 10


def read(source: Source) -> Samples:
    """SSS_PPP_RRR.mp4, anywhere in the folder; words of `lsa64_signs.md` (`01|Opaque|R|`) if it is there.

    Signers 1 to 8 are train, 9 val and 10 test.
    """
    samples, words = Samples(source), _read_words(source)
    for path in sorted(path for path in source.media.rglob("*") if path.suffix.lower() in SUFFIXES):
        match = NAME.fullmatch(path.stem)
        if match is None:
            samples.notes.append(f"{path}: not named SIGN_SIGNER_REPETITION, and left out")
            continue
        sign, signer = int(match[1]), int(match[2])
        if sign < 1 or not 1 <= signer <= SIGNERS or (words and sign not in words):
            samples.problems.add("", f"{path}: sign {sign}, signer {signer}; expected signs of {SIGNS}, signers 1..10")
            continue
        split = "train" if signer <= 8 else "val" if signer == 9 else "test"
        about = {"name": path.stem, "file": path, "word": words.get(sign, f"{sign:03d}"), "number": sign - 1}
        samples.add(str(path), signer=signer, split=split, **about)  # type: ignore[arg-type]
    return samples


def _read_words(source: Source) -> dict[int, str]:
    path = source.folder / SIGNS
    words: dict[int, str] = {}
    for line, fields in read_rows(path) if path.exists() else ():
        parts = ",".join(fields).split("|")
        if len(parts) < 2 or not re.fullmatch("[0-9]{1,3}", parts[0].strip()) or not parts[1].strip():
            raise DataError(f"{path}:{line}: found {','.join(fields)[:80]!r}; expected NUMBER|WORD|")
        words[int(parts[0])] = parts[1].strip()
    return words
