"""The reference: a training loop as tutorials write it. Every epoch decodes its JPEGs and runs the whole model.

Deliberately without anything of `hearai.training`. B clips, T frames, K classes.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics.functional.classification import multiclass_f1_score
from torchvision import transforms

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import Data, load_data
from hearai.models.model import SignModel, build_initial_model
from hearai.sign.hamnosys import MISSING

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Labels = dict[str, Tensor]


class PlainClips(Dataset):
    """Clips, one frame of each segment; each item decodes its JPEGs."""

    def __init__(self, clips: Sequence[Clip], config: Config, *, train: bool):
        size = config.augmentations_parameters
        assert size.resize_size is not None
        self.clips, self.heads, self.train = clips, config.active_heads, train
        self.segments = config.train_parameters.num_segments
        self.transform = transforms.Compose(
            [
                transforms.Resize(size.resize_size),
                transforms.CenterCrop(size.crop_sides),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, int]]:
        clip = self.clips[index]
        images = [Image.open(clip.frame_path(frame)).convert("RGB") for frame in self._frames(clip)]
        return torch.stack([self.transform(image) for image in images]), {h: clip.labels[h] for h in self.heads}

    def _frames(self, clip: Clip) -> Iterator[int]:
        count = clip.end - clip.start + 1
        parts = min(self.segments, count)
        for part in range(parts):
            low, high = part * count // parts, (part + 1) * count // parts - 1
            yield clip.start + (random.randint(low, high) if self.train else (low + high) // 2)


def pad(samples: Sequence[tuple[Tensor, dict[str, int]]]) -> tuple[Tensor, Tensor, Labels]:
    """Images (B, T, 3, H, W), the mask of real frames (B, T), labels {head: (B,)}."""
    frames_BTCHW = nn.utils.rnn.pad_sequence([frames for frames, _ in samples], batch_first=True)
    lengths_B1 = torch.tensor([[len(frames)] for frames, _ in samples])
    labels = {head: torch.tensor([labels[head] for _, labels in samples]) for head in samples[0][1]}
    return frames_BTCHW, torch.arange(frames_BTCHW.shape[1]) < lengths_B1, labels


class PlainRun:
    """Model, optimizer and loaders of one config. frozen: the extractor's backbone is not trained, but run."""

    def __init__(self, config: Config, *, frozen: bool, device: torch.device | str = "cpu"):
        self.data: Data = load_data(config)
        self.device = torch.device(device)
        self.model: SignModel = build_initial_model(config, self.data.num_class).to(self.device)
        self.backbone = self.model.feature_extractor.backbone if frozen else None
        if self.backbone is not None:
            self.backbone.requires_grad_(False)
        train = config.train_parameters
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=train.lr, weight_decay=train.weight_decay)
        self.train_loader, self.val_loader = (
            DataLoader(
                PlainClips(clips, config, train=is_train),
                batch_size=train.batch_size,
                shuffle=is_train,
                collate_fn=pad,
                num_workers=config.general_parameters.workers,
            )
            for clips, is_train in ((self.data.split.train, True), (self.data.split.val, False))
        )

    def train(self, steps: int | None = None) -> None:
        """One epoch, or its first steps."""
        self.model.train()
        if self.backbone is not None:
            self.backbone.eval()
        for frames_BTCHW, mask_BT, labels in islice(self.train_loader, steps):
            self.step(frames_BTCHW, mask_BT, labels)

    def step(self, frames_BTCHW: Tensor, mask_BT: Tensor, labels: Labels) -> None:
        """One optimizer step."""
        logits = self.model({"frames": frames_BTCHW.to(self.device)}, mask_BT.to(self.device))
        loss = _loss(logits, {head: label_B.to(self.device) for head, label_B in labels.items()})
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def validate(self, steps: int | None = None) -> float:
        """Mean macro-F1 of the heads over the validation clips, or its first batches."""
        self.model.eval()
        found: dict[str, list[Tensor]] = {}
        true: dict[str, list[Tensor]] = {}
        with torch.no_grad():
            for frames_BTCHW, mask_BT, labels in islice(self.val_loader, steps):
                logits = self.model({"frames": frames_BTCHW.to(self.device)}, mask_BT.to(self.device))
                for head, label_B in labels.items():
                    found.setdefault(head, []).append(logits[head].argmax(1).cpu())
                    true.setdefault(head, []).append(label_B)
        scores = [
            multiclass_f1_score(torch.cat(found[head]), torch.cat(true[head]), classes, ignore_index=MISSING)
            for head, classes in self.data.num_class.items()
        ]
        return float(torch.stack(scores).mean())

    def save(self, path: Path) -> None:
        """A checkpoint, as after every epoch."""
        torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}, path)


def _loss(logits: dict[str, Tensor], labels: Labels) -> Tensor:
    """Mean cross-entropy over the heads that have a label in this batch."""
    losses = [
        nn.functional.cross_entropy(logits[head], label_B, ignore_index=MISSING)
        for head, label_B in labels.items()
        if bool((label_B != MISSING).any())
    ]
    return torch.stack(losses).mean()
