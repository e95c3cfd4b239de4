"""The kinds of datasets that can be imported, by name."""

from collections.abc import Callable

from hearai.data.importers.kinds import (
    asl_citizen,
    autsl,
    csv_table,
    folder_per_class,
    include,
    kaggle_asl_signs,
    lsa64,
    msasl,
    popsign,
    semlex,
    slovo,
    wlasl,
)
from hearai.data.importers.samples import Samples
from hearai.data.importers.source import Source

KINDS: dict[str, Callable[[Source], Samples]] = {
    "folder_per_class": folder_per_class.read,
    "csv": csv_table.read,
    "wlasl": wlasl.read,
    "msasl": msasl.read,
    "asl_citizen": asl_citizen.read,
    "autsl": autsl.read,
    "include": include.read,
    "lsa64": lsa64.read,
    "slovo": slovo.read,
    "bukva": slovo.read,
    "popsign": popsign.read,
    "kaggle_asl_signs": kaggle_asl_signs.read,
    "semlex": semlex.read,
}
"""{kind: reader of its metadata}"""
