"""Short names of parameters."""

from collections.abc import Iterable


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """{dotted path: its shortest suffix, in whole parts, that no other path ends in}."""
    paths = list(dict.fromkeys(paths))
    names: dict[str, str] = {}
    for path in paths:
        parts = path.split(".")
        suffixes = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
        names[path] = next(
            end for end in suffixes if end == path or sum(f".{other}".endswith(f".{end}") for other in paths) == 1
        )
    return names
