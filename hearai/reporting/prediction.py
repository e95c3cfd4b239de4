"""What `predict.py` says of each clip: the likeliest classes in words and HamNoSys symbols, the nearest glosses."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from hearai.data.annotations.metadata import class_name
from hearai.data.lexicon import Lexicon
from hearai.sign.hamnosys import HEADS, short_meaning
from hearai.training.inference.trained_model import TrainedModel

COLUMNS = 80


def prediction_rows(
    trained: TrainedModel,
    clips: Sequence[str],
    probabilities: Mapping[str, Tensor],
    *,
    top: int,
    lexicon: Lexicon | None = None,
) -> list[dict[str, Any]]:
    """For each clip {"clip", "heads": {head: [{"class", "name", "symbol", "confidence"}, ...]}, "glosses": [...]}.

    The likeliest class is the first. `symbol` is None where the head is no part of HamNoSys; `glosses` is there with
    a lexicon only: [{"gloss", "distance"}, ...], see `Lexicon.nearest`.

    Args:
        clips: what the user gave, N of them.
        probabilities: {head: (N, K)}.
        top: classes and glosses that are listed.
    """
    nearest = lexicon.nearest(_hamnosys(probabilities), top) if lexicon else None
    rows = []
    for i, clip in enumerate(clips):
        heads = {head: _likeliest(trained, head, p_NK[i], top) for head, p_NK in probabilities.items()}
        row: dict[str, Any] = {"clip": clip, "heads": heads}
        if nearest is not None:
            row["glosses"] = [{"gloss": gloss, "distance": round(far, 4)} for gloss, far in nearest[i]]
        rows.append(row)
    return rows


def prediction_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same for the terminal, at 80 columns."""
    return "\n\n".join("\n".join(_clip_lines(row)) for row in rows)


def _hamnosys(probabilities: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {head: p_NK for head, p_NK in probabilities.items() if head in HEADS}


def _likeliest(trained: TrainedModel, head: str, p_K: Tensor, top: int) -> list[dict[str, Any]]:
    confidence, classes = p_K.topk(min(top, len(p_K)))
    return [
        {
            "class": k,
            "name": class_name(trained.class_names, head, k),
            "symbol": HEADS[head].classes[k].symbol if head in HEADS else None,
            "confidence": round(p, 4),
        }
        for p, k in zip(confidence.tolist(), classes.tolist(), strict=True)
    ]


def _clip_lines(row: Mapping[str, Any]) -> list[str]:
    lines = [row["clip"]]
    for head, classes in row["heads"].items():
        lines.append(f"  {head}")
        lines += [_cut(f"    {one['confidence']:4.0%}  {one['class']:>4}  {_words(one)}") for one in classes]
    if "glosses" in row:
        lines.append("  nearest glosses (heads that are to be expected to differ)")
        lines += [_cut(f"    {one['distance']:5.2f}  {one['gloss']}") for one in row["glosses"]]
    return lines


def _words(one: Mapping[str, Any]) -> str:
    """The glyph's name, where it has one, and the meaning; the codes of the HamNoSys font are for `--json`."""
    symbol = (one["symbol"] or "").split()
    glyph = next((word for word in symbol if word.startswith("ham")), None)
    words = short_meaning(one["name"])
    return f"{glyph}: {words}" if glyph else words


def _cut(line: str) -> str:
    return line if len(line) <= COLUMNS else line[: COLUMNS - 3] + "..."
