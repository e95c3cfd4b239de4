"""Published weights: a check within seconds of whether they are available, and loading, from the cache if possible."""

import difflib
import http.client
import logging
import queue
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache
from safetensors import SafetensorError
from timm.models import PretrainedCfg
from torch import nn
from torchvision.models import WeightsEnum

from hearai.errors import ConfigError, load_failure
from hearai.models.weights import UNREADABLE

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 5.0
"""Timeout for a host to respond, in seconds (the hub's client retries for 45)."""

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
"""File names of timm's weights in a hub repository, in timm's order of preference."""

LOAD_ERRORS = (*UNREADABLE, SafetensorError)
"""What readers of weights raise for a file that is not one, or has content other than weights."""


def check_model_name(model_path: str) -> None:
    """Raises a ConfigError with close matches unless timm has a model of this name."""
    architecture, _, tag = model_path.partition(".")
    tagged = timm.list_pretrained(f"{architecture}.*") if tag else []
    if timm.is_model(model_path) and (not tag or model_path in tagged):
        return
    close = difflib.get_close_matches(model_path, tagged or timm.list_models(), n=5)
    hint = f"; close matches: {', '.join(close)}" if close else ""
    raise ConfigError(
        f"feature_extractor.model_path: {model_path!r} is not a model of timm {timm.__version__}{hint} "
        "(timm.list_models() lists all)"
    )


@dataclass(frozen=True)
class WeightSource:
    """Where the published weights of one network can be found."""

    model: str
    urls: tuple[str, ...] = ()
    """Alternatives; empty = there are no published weights."""
    cached: Path | None = None
    """The file on disk, if there is one."""
    on_hub: bool = False
    """Whether the settings of the Hugging Face hub apply."""


def timm_weights(model_path: str) -> WeightSource:
    """Where timm's weights of a model are.

    Raises:
        ConfigError: timm has no such model.
    """
    check_model_name(model_path)
    cfg = timm.get_pretrained_cfg(model_path)
    if cfg is None or not cfg.has_weights:
        return WeightSource(model_path)
    return WeightSource(model_path, tuple(_urls(cfg)), _cached_file(cfg), on_hub=bool(cfg.hf_hub_id))


def torchvision_weights(weights: WeightsEnum) -> WeightSource:
    """Where torchvision's weights are."""
    return WeightSource(str(weights), (weights.url,), _torch_hub_file(weights.url))


def resolve_pretrained(source: WeightSource, wanted: bool | str) -> bool:
    """Whether to start from published weights; checks the cache, then the network for a few seconds at most.

    Args:
        wanted: true, false or `auto`; the path of weights says nothing about published ones.

    Raises:
        ConfigError: `wanted` is true and the weights are not available.
    """
    if wanted is False:
        return False
    reason = _why_unavailable(source)
    if reason is None:
        return True
    if wanted is True:
        raise ConfigError(_unavailable_error(source.model, reason))
    logger.warning("no pretrained weights for %s (%s): starting from random weights", source.model, reason)
    return False


def load_pretrained(model_path: str) -> nn.Module:
    """The timm model without its classifier, with timm's weights.

    Raises:
        ConfigError: the weights are not available.
    """
    source = timm_weights(model_path)
    if reason := _why_unavailable(source):
        raise ConfigError(_unavailable_error(model_path, reason))
    overlay = {"file": str(source.cached)} if source.cached else None
    try:
        return timm.create_model(model_path, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay)
    except LOAD_ERRORS as error:
        raise ConfigError(_unavailable_error(model_path, _load_failure(error, source))) from None


def load_torchvision(build: Callable[..., nn.Module], weights: WeightsEnum) -> nn.Module:
    """A torchvision model with its published weights.

    Raises:
        ConfigError: the weights are not available, or their file is corrupt.
    """
    source = torchvision_weights(weights)
    if reason := _why_unavailable(source):
        raise ConfigError(_unavailable_error(source.model, reason))
    net = build(num_classes=len(weights.meta["categories"]))
    try:  # `build(weights=...)` would unpickle the file in the cache
        net.load_state_dict(weights.get_state_dict(check_hash=True, weights_only=True))
    except LOAD_ERRORS as error:
        raise ConfigError(_unavailable_error(source.model, _load_failure(error, source))) from None
    return net


def _load_failure(error: Exception, source: WeightSource) -> str:
    reason = load_failure(error)
    return f"{source.cached}: {reason}" if source.cached else reason


def _unavailable_error(model: str, reason: str) -> str:
    return (
        f"feature_extractor.pretrained: true, but the weights of {model} are not available ({reason}); "
        "set pretrained to auto or false, or give a feature_extractor.checkpoint written by pre-training"
    )


def _why_unavailable(source: WeightSource) -> str | None:
    """Why the weights are not available; None if they are cached or their host has them."""
    if not source.urls:
        return "none are published"
    if source.cached:
        return None
    if source.on_hub and constants.HF_HUB_OFFLINE:
        return "not cached, and HF_HUB_OFFLINE is set"
    failure = _query(list(source.urls))
    return failure and f"not cached, and {failure}"


def _hub_files(cfg: PretrainedCfg) -> list[tuple[str, str, str | None]]:
    """(repository, file name, revision) under which the hub may have the weights."""
    if not cfg.hf_hub_id:
        return []
    repository, _, revision = cfg.hf_hub_id.partition("@")
    names = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else WEIGHT_FILES
    return [(repository, name, revision or None) for name in names]


def _cached_file(cfg: PretrainedCfg) -> Path | None:
    """The file of timm's weights on disk, if there is one."""
    for repository, name, revision in _hub_files(cfg):
        found = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return _torch_hub_file(cfg.url) if cfg.url and not cfg.hf_hub_id else None


def _torch_hub_file(url: str) -> Path | None:
    """The file that torch's hub has downloaded before, if there is one."""
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    return path if path.is_file() else None


def _urls(cfg: PretrainedCfg) -> list[str]:
    if cfg.hf_hub_id:
        return [hf_hub_url(repository, name, revision=revision) for repository, name, revision in _hub_files(cfg)]
    return [cfg.url]


def _query(urls: list[str]) -> str | None:
    """Why none of the files can be reached; None if one can. In a thread, because a DNS lookup can hang."""
    answer: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=lambda: answer.put(_first_failure(urls)), daemon=True).start()
    try:
        return answer.get(timeout=ANSWER_TIMEOUT_S)
    except queue.Empty:
        return f"{urls[0]} did not respond within {ANSWER_TIMEOUT_S:g} s"


def _first_failure(urls: list[str]) -> str | None:
    failures = []
    for url in urls:
        if (failure := _head(url)) is None:
            return None
        failures.append(failure)
    return failures[0]


def _head(url: str) -> str | None:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=ANSWER_TIMEOUT_S):
            return None
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {getattr(error, 'reason', error)}"
