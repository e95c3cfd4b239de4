"""The demo data contains its labels: a small network reads them from the landmarks of signers it has not seen."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from hearai.data.demo import demo_dataset
from hearai.data.demo.landmarks import FACE_POINTS
from hearai.sign.hamnosys import HEADS

# N clips, T frames, D features, K classes

pytestmark = pytest.mark.training

NAMES = list(FACE_POINTS)
SIDES = {"right": "left", "left": "right"}
FACE_MIRROR = [NAMES.index("_".join(SIDES.get(word, word) for word in name.split("_"))) for name in NAMES]
FINGER_CHAINS = [(0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (0, 9, 10, 11, 12), (0, 13, 14, 15, 16), (0, 17, 18, 19, 20)]


def load(root: Path) -> tuple[list[dict], np.ndarray, list[str]]:
    """Landmarks, labels (N, 8) and signers of all clips."""
    rows = [line.split() for line in (root / "test_hamnosys.txt").read_text().splitlines()[1:]]
    with (root / "signers.csv").open() as file:
        signers = {row["name"]: row["signer"] for row in csv.DictReader(file)}
    clips = [dict(np.load(root / r[0] / f"{r[0]}.npz")) for r in rows]
    return clips, np.array([r[3:] for r in rows], int), [signers[r[0]] for r in rows]


def mirrored(clip: dict) -> dict:
    """Landmarks of the mirror image: every label stays the same."""
    turn = np.array((-1, 1, 1), np.float32)
    shift = np.array((1, 0, 0), np.float32)
    swap = {"face": clip["face"][:, FACE_MIRROR], "left_hand": clip["right_hand"]}
    swap |= {"right_hand": clip["left_hand"], "pose": clip["pose"]}
    return {k: v * turn + shift for k, v in swap.items()}


def features(clip: dict) -> np.ndarray:
    """(D,) positions relative to the body, each hand in its own axes, and the motion of the hands."""
    face, pose = clip["face"], clip["pose"]
    middle = pose[:, 11:13].mean(1, keepdims=True)
    unit = np.linalg.norm(pose[:, 11] - pose[:, 12], axis=-1)[:, None, None]
    parts = [(face - middle) / unit, 3 * (face - face[:, :1]) / unit, (pose[:, 11:15] - middle) / unit]
    held = slice(-4, None)
    motion = []
    for side in ("left_hand", "right_hand"):
        hand = clip[side]
        size = np.linalg.norm(hand[:, 9] - hand[:, 0], axis=-1)[:, None, None]
        tips = hand[:, [0, 4, 6, 8, 9, 10, 12, 16, 20]]
        nose, mouth = (face[:, [NAMES.index(name)]] for name in ("nose", "upper_lip"))
        parts += [
            (tips - middle) / unit,
            (tips - nose) / unit,
            (tips - mouth) / unit,
            (hand - hand[:, :1]) / size,
            size / unit,
        ]
        along = hand[:, 9] - hand[:, 0]
        palm = np.cross(hand[:, 5] - hand[:, 0], hand[:, 17] - hand[:, 0])
        axes = [v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (along, palm)]
        axes.append(np.cross(*axes))
        in_hand = np.einsum("tjc,tac->tja", (hand - hand[:, :1]) / size, np.stack(axes, 1))
        parts += [in_hand, np.stack(axes, 1)]
        bones = [np.diff(hand[:, chain], axis=1) for chain in FINGER_CHAINS]
        bones = [b / np.linalg.norm(b, axis=-1, keepdims=True) for b in bones]
        parts += [(b[:, 1:] * b[:, :-1]).sum(-1, keepdims=True) for b in bones]
        motion.append(((hand[:, 9] - hand[held, 9].mean(0)) / unit[:, 0])[held])
    parts.append(
        (
            clip["right_hand"][:, [0, 4, 8, 12]][:, :, None] - clip["left_hand"][:, None, [0, 1, 5, 6, 7, 8, 9, 17]]
        ).reshape(len(face), -1, 3)
        / unit
    )
    still = np.concatenate([p[held].mean(0).ravel() for p in parts])
    left, right = motion
    return np.concatenate([still, 20 * (left * right).mean(0), 5 * left.std(0), 5 * right.std(0)]).astype(np.float32)


def macro_f1(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean F1 over the classes that occur in the truth."""
    scores = []
    for k in np.unique(truth):
        hit = np.sum((truth == k) & (guess == k))
        scores.append(2 * hit / (np.sum(truth == k) + np.sum(guess == k)))
    return float(np.mean(scores))


def probe(root: Path, *, epochs: int, unseen: int) -> dict[str, float]:
    """Macro-F1 by head on `unseen` signers left out of training, from a clip and its mirror image."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster than two for so small a network
    clips, labels, signers = load(root)
    held_out = set(sorted(set(signers))[:unseen])
    test = torch.tensor([s in held_out for s in signers])
    train = ~test
    views = [np.stack([features(c) for c in clips]), np.stack([features(mirrored(c)) for c in clips])]
    x = torch.tensor(np.stack(views))
    y = torch.tensor(labels)
    fit = x[:, train].flatten(0, 1)
    x = (x - fit.mean(0)) / (fit.std(0) + 0.02)
    x_fit, y_fit = x[:, train].flatten(0, 1), y[train].repeat(2, 1)
    sizes = [h.num_class for h in HEADS.values()]
    net = torch.nn.Sequential(
        torch.nn.Linear(x.shape[-1], 384),
        torch.nn.GELU(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(384, 384),
        torch.nn.GELU(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(384, sum(sizes)),
    )
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.05)
    steps = epochs * -(-len(x_fit) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x_fit)).split(64):
            logits = net(x_fit[rows] + 0.03 * torch.randn(len(rows), x.shape[-1])).split(sizes, -1)
            loss = sum(torch.nn.functional.cross_entropy(z, y_fit[rows, i]) for i, z in enumerate(logits))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    torch.set_num_threads(threads)
    net.eval()
    with torch.no_grad():
        guess = net(x[:, test]).mean(0).split(sizes, -1)
    truth = y[test].numpy()
    return {h: macro_f1(truth[:, i], guess[i].argmax(-1).numpy()) for i, h in enumerate(HEADS)}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # the images are not used here: 16 pixels, so that the clips are drawn quickly
    return demo_dataset(tmp_path_factory.mktemp("probe"), clips=480, frames=6, size=16, workers=1)


def test_every_head_can_be_read_from_landmarks(small: Path) -> None:
    scores = probe(small, epochs=12, unseen=8)
    assert set(scores) == set(HEADS)
    assert min(scores.values()) > 0.8, scores
