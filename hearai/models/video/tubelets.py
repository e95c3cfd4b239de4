"""VideoMAE and V-JEPA 2 of `transformers` over clips of any length, with one vector per tubelet.

B clips, T frames, C/H/W image, s frames of a tubelet, U = ceil(T / s) tubelets, P patches of a tubelet, N = U P tokens,
W width, A heads, E width of a head. Sources: Tong et al. 2022, "VideoMAE"; Assran et al. 2025, "V-JEPA 2".

The layers are those of `transformers`, and its weights fit unchanged; their loop is repeated here, since the library's
takes no mask: frames of padding would be attended to. Both networks expect images normalised by ImageNet's statistics.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn

from hearai.errors import ConfigError, choices

LIMIT = 65_536
"""Of the integers of a network."""
MISFITS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError)
"""What transformers and torch raise for values that give no network."""
SMALL = {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 3, "patch_size": 16, "tubelet_size": 2}
"""What both have where neither weights nor a network are given: for training from random weights."""
_SHARED: tuple[str, ...] = ("hidden_size", "num_hidden_layers", "num_attention_heads", "patch_size", "tubelet_size")
_SHARED += ("layer_norm_eps", "hidden_act", "attention_probs_dropout_prob", "qkv_bias")
_OF_VIDEOMAE = ("image_size", "num_frames", "intermediate_size", "qv_bias", "use_mean_pooling", "hidden_dropout_prob")
_OF_VJEPA2 = ("crop_size", "frames_per_clip", "mlp_ratio", "drop_path_rate")
NETWORKS = {"videomae": (*_SHARED, *_OF_VIDEOMAE), "vjepa2": (*_SHARED, *_OF_VJEPA2)}
"""The values of a config.json that describe the encoder."""


def whole_tubelets(clip_BTCHW: Tensor, mask_BT: Tensor, size: int) -> Tensor:
    """(B, U s, C, H, W): frames of padding are replaced by the last real frame before them.

    So the last tubelet is complete where a clip has an odd number of frames, and padding has no content of its own.
    """
    frames = mask_BT.shape[1]
    numbers_T = torch.arange(frames, device=mask_BT.device)
    first_B1 = mask_BT.int().argmax(1, keepdim=True)
    before_TT = numbers_T <= numbers_T[:, None]
    last_BT = torch.where(mask_BT[:, None] & before_TT, numbers_T, -1).amax(-1).maximum(first_B1)  # ONNX lacks cummax
    index_K = torch.arange(_tubelets(frames, size) * size, device=mask_BT.device).clamp(max=frames - 1)
    index_BK = last_BT[:, index_K]
    return clip_BTCHW[torch.arange(mask_BT.shape[0], device=mask_BT.device)[:, None], index_BK]


def tubelet_mask(mask_BT: Tensor, size: int) -> Tensor:
    """(B, U): true where a tubelet has a real frame."""
    frames = mask_BT.shape[1]
    index_K = torch.arange(_tubelets(frames, size) * size, device=mask_BT.device).clamp(max=frames - 1)
    return mask_BT[:, index_K].unflatten(1, (-1, size)).any(-1)


def tubelet_means(x_BTD: Tensor, mask_BT: Tensor, size: int) -> Tensor:
    """(B, U, D): the means of vectors over the real frames of each tubelet; size 1: as they are."""
    if size == 1:
        return x_BTD
    frames = mask_BT.shape[1]
    index_K = torch.arange(_tubelets(frames, size) * size, device=mask_BT.device)
    real_BK = mask_BT[:, index_K.clamp(max=frames - 1)] & (index_K < frames)
    x_BKD = x_BTD[:, index_K.clamp(max=frames - 1)].masked_fill(~real_BK[..., None], 0)
    counts_BU1 = real_BK.unflatten(1, (-1, size)).sum(-1, keepdim=True).clamp(min=1)
    return x_BKD.unflatten(1, (-1, size)).sum(2) / counts_BU1


def _tubelets(frames: int, size: int) -> int:
    return (frames + size - 1) // size


class TubeletNet(nn.Module):
    """Base of both networks; `net` is that of `transformers`."""

    net: Any

    def __init__(self, net: nn.Module, *, width: int, stride: int, side: int, patch: int):
        """stride: frames of a tubelet; side, patch: height and width of an image and of a patch, in pixels."""
        super().__init__()
        if not 1 <= patch <= side:
            raise ValueError(f"patches of {patch} pixels in images of {side}")
        self.net, self.width, self.stride, self.side, self.patches = net, width, stride, side, (side // patch) ** 2

    def forward(self, clip_BTCHW: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, U, W): the mean over the patches of each tubelet; content of padded frames has no influence."""
        clip_BKCHW = whole_tubelets(clip_BTCHW, mask_BT, self.stride)
        if tuple(clip_BKCHW.shape[-2:]) != (self.side, self.side):
            images = F.interpolate(clip_BKCHW.flatten(0, 1), (self.side, self.side), mode="bilinear", antialias=True)
            clip_BKCHW = images.unflatten(0, (clip_BTCHW.shape[0], -1))
        x_BNW = self.embed(clip_BKCHW.transpose(1, 2))
        seen_BN = tubelet_mask(mask_BT, self.stride).repeat_interleave(self.patches, 1)
        layers, norm = self.parts()
        for layer in layers:
            x_BNW = self.apply_layer(layer, x_BNW, seen_BN[:, None, None, :])
        return (x_BNW if norm is None else norm(x_BNW)).unflatten(1, (-1, self.patches)).mean(2)

    def parts(self) -> tuple[nn.ModuleList, nn.Module | None]:
        """(the layers, the norm after them)"""
        raise NotImplementedError

    def embed(self, clip_BCKHW: Tensor) -> Tensor:
        """(B, N, W): the tokens with their positions, as far as those are added."""
        raise NotImplementedError

    def apply_layer(self, layer: Any, x_BNW: Tensor, seen_B11N: Tensor) -> Tensor:
        """(B, N, W): one layer, whose tokens attend to those that are seen."""
        raise NotImplementedError


class VideoMAE(TubeletNet):
    """VideoMAE's encoder. Its sinusoidal positions continue beyond the length it was trained with."""

    def __init__(self, network: Mapping[str, Any]):
        from transformers import VideoMAEConfig, VideoMAEModel

        small = {**SMALL, "image_size": 112, "intermediate_size": 768}
        config = VideoMAEConfig(**(network or small))
        super().__init__(
            VideoMAEModel(config),
            width=config.hidden_size,
            stride=config.tubelet_size,
            side=config.image_size,
            patch=config.patch_size,
        )

    def parts(self) -> tuple[nn.ModuleList, nn.Module | None]:
        """See `TubeletNet`."""
        return self.net.encoder.layer, self.net.layernorm

    def embed(self, clip_BCKHW: Tensor) -> Tensor:
        """See `TubeletNet`."""
        x_BNW = self.net.embeddings.patch_embeddings.projection(clip_BCKHW).flatten(2).transpose(1, 2)
        return x_BNW + _sinusoids(x_BNW.shape[1], self.width, x_BNW.device).to(x_BNW.dtype)

    def apply_layer(self, layer: Any, x_BNW: Tensor, seen_B11N: Tensor) -> Tensor:
        """See `TubeletNet`."""
        normal_BNW, attention = layer.layernorm_before(x_BNW), layer.attention.attention
        mixed_BNW = _attend(attention, normal_BNW, seen_B11N, lambda x_BANE: x_BANE)
        x_BNW = layer.attention.output(mixed_BNW, x_BNW) + x_BNW
        return layer.output(layer.intermediate(layer.layernorm_after(x_BNW)), x_BNW)


class VJEPA2(TubeletNet):
    """V-JEPA 2's encoder, with rotary positions."""

    def __init__(self, network: Mapping[str, Any]):
        from transformers import VJEPA2Config
        from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2Encoder

        config = VJEPA2Config(**(network or {**SMALL, "crop_size": 112}))
        super().__init__(
            VJEPA2Encoder(config),
            width=config.hidden_size,
            stride=config.tubelet_size,
            side=config.crop_size,
            patch=config.patch_size,
        )

    def parts(self) -> tuple[nn.ModuleList, nn.Module | None]:
        """See `TubeletNet`."""
        return self.net.layer, self.net.layernorm

    def embed(self, clip_BCKHW: Tensor) -> Tensor:
        """See `TubeletNet`."""
        return self.net.embeddings.patch_embeddings(clip_BCKHW)

    def apply_layer(self, layer: Any, x_BNW: Tensor, seen_B11N: Tensor) -> Tensor:
        """See `TubeletNet`."""
        normal_BNW, attention = layer.norm1(x_BNW), layer.attention
        places = attention.get_position_ids(normal_BNW)
        mixed_BNW = _attend(
            attention, normal_BNW, seen_B11N, lambda x_BANE: attention.apply_rotary_embeddings(x_BANE, places)
        )
        x_BNW = layer.drop_path(attention.proj(mixed_BNW)) + x_BNW
        return layer.drop_path(layer.mlp(layer.norm2(x_BNW))) + x_BNW


def _attend(attention: Any, x_BNW: Tensor, seen_B11N: Tensor, rotate: Callable[[Tensor], Tensor]) -> Tensor:
    """(B, N, W): self-attention to the tokens that are seen, before the output projection."""
    query, key, value = (
        part(x_BNW).unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)
        for part in (attention.query, attention.key, attention.value)
    )
    dropout = attention.dropout_prob if attention.training else 0.0
    mixed_BANE = F.scaled_dot_product_attention(
        rotate(query), rotate(key), value, attn_mask=seen_B11N, dropout_p=dropout, scale=attention.scaling
    )
    return mixed_BANE.transpose(1, 2).flatten(2)


def _sinusoids(tokens: int, width: int, device: torch.device) -> Tensor:
    """(N, W): sine in even and cosine in odd columns, as VideoMAE has them."""
    columns_W = torch.arange(width, device=device)
    rates_W = torch.pow(10_000.0, -2 * columns_W.div(2, rounding_mode="floor").double() / width)
    angles_NW = torch.arange(tokens, device=device).double()[:, None] * rates_W
    return torch.where(columns_W % 2 == 0, angles_NW.sin(), angles_NW.cos()).float()


def described_network(name: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config.json that a network of this name is built from."""
    return {key: described[key] for key in NETWORKS[name] if described.get(key) is not None}


def build_tubelet_net(name: str, network: Mapping[str, Any]) -> TubeletNet:
    """A network at random weights.

    Args:
        network: values as in its config.json; empty = a small one.

    Raises:
        ConfigError: unknown values, values that do not fit together, or `transformers` is missing.
    """
    where = "feature_extractor.network"
    known = NETWORKS[name]
    problems = [f"{where}.{key}: unknown; {choices(key, known)}" for key in network if key not in known]
    for key, x in network.items():
        is_count = isinstance(x, int) and not isinstance(x, bool)
        if isinstance(x, int | float) and not (0 <= x <= LIMIT) or is_count and x < 1 and not key.endswith("_prob"):
            problems.append(f"{where}.{key}: got {x!r}; must be from {1 if is_count else 0} to {LIMIT}")
    if problems:
        raise ConfigError(problems)
    try:
        return VideoMAE(network) if name == "videomae" else VJEPA2(network)
    except ImportError as error:
        raise ConfigError(f"feature_extractor.name: {name} needs transformers ({error}); install it") from None
    except (*MISFITS, StrictDataclassError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{where}: {dict(network)!r} gives no network of {name} ({reason})") from None
