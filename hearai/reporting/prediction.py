"""The output of `predict.py`: the likeliest classes of each clip, with HamNoSys symbols, and the nearest glosses."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.metadata import class_name
from hearai.data.dataset import build_dataset
from hearai.reporting.clip_images.prediction_files import save_paths, save_prediction
from hearai.reporting.text import COLUMNS, shorten
from hearai.sign.hamnosys import HEADS, short_meaning
from hearai.training.inference.lookup.dictionary import Entry, read_dictionary
from hearai.training.inference.lookup.lexicon import Lexicon
from hearai.training.inference.novelty import QUANTILE
from hearai.training.inference.predict import ClipOutputs, clips_of_paths, outputs_of_clips
from hearai.training.inference.reliability import Reliability, not_measured, uncertain_clips
from hearai.training.inference.trained_model import TrainedModel

log = logging.getLogger(__name__)


def predict_rows(
    trained: TrainedModel,
    paths: Sequence[Path],
    *,
    top: int,
    lexicon: Lexicon | None = None,
    dictionary: Path | None = None,
    save: Path | None = None,
    **reading: Any,
) -> list[dict[str, Any]]:
    """Predicts frame folders and videos, and lists what was found as `prediction_rows`.

    Args:
        dictionary: a dataset folder, whose most similar clips are listed, too.
        save: an image or video of each clip is written, see `save_paths`; the rows then have its path as "saved".
        reading: as in `clips_of_paths`.

    Raises:
        ConfigError: the dictionary has no clips.
        DataError: all problems of the dictionary; every path that is not a usable clip, and why.
        UserError: `save` has another ending than .png and .mp4, or cannot be written; nothing was computed.
    """
    files = save_paths(save, paths) if save is not None else []
    known = read_dictionary(trained, dictionary) if dictionary is not None else None
    with clips_of_paths(trained, paths, **reading) as clips:
        outputs = outputs_of_clips(trained, clips)
        neighbours = known.nearest(outputs.vectors_ND, top) if known else None
        names = [str(path) for path in paths]
        rows = prediction_rows(trained, names, outputs, top=top, lexicon=lexicon, neighbours=neighbours)
        if files:
            _save(trained, clips, rows, files)
    if trained.reliability is None:
        log.warning("%s", not_measured(trained.folder))
    return rows


def _save(trained: TrainedModel, clips: Sequence[Clip], rows: Sequence[dict[str, Any]], files: Sequence[Path]) -> None:
    """Writes the file of each clip, while the frames of videos still exist; adds its path to the clip's row."""
    seen = build_dataset(trained.config, clips, train=False)
    for number, (clip, row, file) in enumerate(zip(clips, rows, files, strict=True)):
        save_prediction(clip, row, seen.frame_numbers(number), file)
        row["saved"] = str(file)


def prediction_rows(
    trained: TrainedModel,
    clips: Sequence[str],
    outputs: ClipOutputs,
    *,
    top: int,
    lexicon: Lexicon | None = None,
    neighbours: Sequence[Sequence[Entry]] | None = None,
) -> list[dict[str, Any]]:
    """For each clip {"clip", "heads": {head: [{"class", "name", "symbol", "confidence"}, ...]}, "uncertain": [head,
    ...], "unlike_training": {"distance", "limit", "unlike"}, "glosses": [...]}.

    The likeliest class is the first; `confidence` is its calibrated probability. `symbol` is None where the head is not
    part of HamNoSys. `unlike_training` is None where it was not measured, see `Reliability`. `glosses` is present only
    with a lexicon: [{"gloss", "distance"}, ...], see `Lexicon.nearest`.

    Args:
        clips: paths as the user gave them, N of them.
        outputs: those of the model for these clips.
        top: number of classes and glosses to list.
        neighbours: of each clip, see `Dictionary.nearest`; listed as "dictionary": [{"clip", "word", "distance"}, ...].
    """
    probabilities = outputs.probabilities(trained.reliability)
    uncertain = {head: uncertain_clips(p_NK) for head, p_NK in probabilities.items()}
    unlike = _unlike_training(trained.reliability, outputs)
    nearest = lexicon.nearest(_hamnosys(probabilities), top) if lexicon else None
    rows = []
    for i, clip in enumerate(clips):
        heads = {
            head: _likeliest(trained, head, logits_NK[i], probabilities[head][i], top)
            for head, logits_NK in outputs.logits.items()
        }
        row: dict[str, Any] = {"clip": clip, "heads": heads}
        row["uncertain"] = [head for head, flags in uncertain.items() if flags[i]]
        row["unlike_training"] = unlike[i] if unlike else None
        if nearest is not None:
            row["glosses"] = [{"gloss": gloss, "distance": round(distance, 4)} for gloss, distance in nearest[i]]
        if neighbours is not None:
            row["dictionary"] = [{**asdict(entry), "distance": round(entry.distance, 4)} for entry in neighbours[i]]
        rows.append(row)
    return rows


def prediction_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as text for the terminal, at most 80 columns wide."""
    return "\n\n".join("\n".join(_clip_lines(row)) for row in rows)


def _unlike_training(reliability: Reliability | None, outputs: ClipOutputs) -> list[dict[str, Any]] | None:
    """Of each clip; None where it was not measured."""
    if reliability is None:
        return None
    return [
        {
            "distance": round(distance, 4),
            "limit": round(reliability.limit, 4),
            "unlike": reliability.is_unlike(distance),
        }
        for distance in reliability.distances(outputs.vectors_ND)
    ]


def _hamnosys(probabilities: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {head: p_NK for head, p_NK in probabilities.items() if head in HEADS}


def _likeliest(trained: TrainedModel, head: str, logits_K: Tensor, p_K: Tensor, top: int) -> list[dict[str, Any]]:
    classes = logits_K.topk(min(top, len(p_K))).indices
    return [
        {
            "class": k,
            "name": class_name(trained.class_names, head, k),
            "symbol": HEADS[head].classes[k].symbol if head in HEADS else None,
            "confidence": round(p, 4),
        }
        for p, k in zip(p_K[classes].tolist(), classes.tolist(), strict=True)
    ]


def _clip_lines(row: Mapping[str, Any]) -> list[str]:
    lines = [row["clip"]]
    if (unlike := row["unlike_training"]) and unlike["unlike"]:
        nearer = f"{QUANTILE:.0%} of validation below {unlike['limit']:.2g}".replace("%", " %")
        lines.append(f"  unlike the training clips (distance {unlike['distance']:.2g}; {nearer})")
    for head, classes in row["heads"].items():
        lines.append(f"  {head}{' (uncertain)' if head in row['uncertain'] else ''}")
        lines += [_line(f"{one['confidence']:4.0%}  {one['class']:>4}  {_meaning(one)}") for one in classes]
    if "glosses" in row:
        lines.append("  nearest glosses (expected number of differing heads)")
        lines += [_line(f"{one['distance']:5.2f}  {one['gloss']}") for one in row["glosses"]]
    if "dictionary" in row:
        lines.append("  most similar clips of the dictionary (cosine distance)")
        found = [(one["distance"], one["word"] or "", one["clip"]) for one in row["dictionary"]]
        lines += [_line(f"{distance:5.3f}  {word}  {clip}".replace("    ", "  ")) for distance, word, clip in found]
    if "saved" in row:
        lines.append(f"  saved: {row['saved']}")
    return lines


def _meaning(one: Mapping[str, Any]) -> str:
    """The name of the glyph, if any, and the meaning of the class; code points are in the `--json` output only."""
    symbol = (one["symbol"] or "").split()
    glyph = next((word for word in symbol if word.startswith("ham")), None)
    meaning = short_meaning(one["name"])
    return f"{glyph}: {meaning}" if glyph else meaning


def _line(text: str) -> str:
    return shorten(f"    {text}", COLUMNS)
