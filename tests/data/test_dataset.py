"""Batches: padded with a mask, identical for any number of workers and ranks."""

import pickle
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config
from hearai.config.field_types import FrozenDict
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import load_data
from hearai.data.dataset import Batch, ClipDataset, Sample, build_dataset, build_loader, collate
from hearai.errors import DataError
from hearai.sign.hamnosys import MISSING


def load_numbers(clip: Clip, frames: list[int]) -> torch.Tensor:
    """Features that identify their clip and frame."""
    return torch.tensor([[float(clip.name), frame] for frame in frames])


def make_dataset_of_numbers(number: int, **values) -> ClipDataset:
    clips = [Clip(str(i), Path("data"), 0, 5 + i % 3, FrozenDict(a=i % 4, b=MISSING)) for i in range(number)]
    return ClipDataset(clips, ["a", "b"], {"features": load_numbers}, **{"num_segments": 3, **values})


def batches_of(dataset: ClipDataset, **values) -> list[Batch]:
    return list(build_loader(dataset, **{"batch_size": 4, "shuffle_seed": 0, **values}))


def samples_of(batches: list[Batch]) -> dict[int, tuple]:
    """{clip index: its content in the batch}, without placeholders."""
    return {
        int(batch.index[i]): (
            [x[i][batch.mask[i]].numpy().tobytes() for x in batch.inputs.values()],
            {head: int(label_B[i]) for head, label_B in batch.labels.items()},
        )
        for batch in batches
        for i in range(len(batch.index))
        if batch.index[i] >= 0
    }


def test_short_clips_are_padded_with_zeros_and_masked():
    long, short = torch.ones(3, 2), torch.ones(1, 2)
    batch = collate([Sample({"features": long}, {"a": 1}, 7), Sample({"features": short}, {"a": MISSING}, 8)])
    assert batch.inputs["features"].shape == (2, 3, 2)
    assert batch.mask.tolist() == [[True, True, True], [True, False, False]]
    assert batch.inputs["features"][~batch.mask].eq(0).all() and batch.inputs["features"][batch.mask].eq(1).all()
    assert batch.labels["a"].tolist() == [1, MISSING] and batch.labels["a"].dtype == torch.int64
    assert batch.index.tolist() == [7, 8]


def test_images_of_different_sizes_are_refused_with_a_remedy():
    samples = [Sample({"frames": torch.zeros(1, 3, 8, side, dtype=torch.uint8)}, {"a": 0}, 0) for side in (8, 9)]
    with pytest.raises(DataError, match="different sizes .*apply_resize and apply_center_crop"):
        collate(samples)


def test_batch_moves_all_tensors():
    batch = collate([Sample({"features": torch.ones(2, 2)}, {"a": 1}, 0)]).to(torch.device("meta"))
    assert {t.device.type for t in (*batch.inputs.values(), batch.mask, batch.index, *batch.labels.values())} == {
        "meta"
    }


def test_every_clip_occurs_once_per_epoch_in_a_new_order():
    dataset = make_dataset_of_numbers(11)
    orders = [[int(i) for b in batches_of(dataset, shuffle_seed=seed) for i in b.index] for seed in (0, 1, 0)]
    assert sorted(orders[0]) == list(range(11))
    assert orders[0] == orders[2] != orders[1]
    in_order = [int(i) for b in batches_of(dataset, shuffle_seed=None) for i in b.index]
    assert in_order == list(range(11))


@pytest.mark.parametrize(("number", "batch_size", "world"), [(11, 4, 2), (9, 4, 3), (5, 2, 4), (8, 4, 4), (1, 8, 2)])
def test_ranks_together_see_the_global_batch(number: int, batch_size: int, world: int):
    dataset = make_dataset_of_numbers(number, jitter=True)
    alone = batches_of(dataset, batch_size=batch_size)
    ranks = [batches_of(dataset, batch_size=batch_size, rank=rank, world=world) for rank in range(world)]
    assert {len(batches) for batches in ranks} == {len(alone)}
    for step, batch in enumerate(alone):
        shares = [[int(i) for i in batches[step].index if i >= 0] for batches in ranks]
        assert sorted(i for share in shares for i in share) == sorted(batch.index.tolist())
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    together = {key: value for batches in ranks for key, value in samples_of(batches).items()}
    assert together == samples_of(alone)


def test_rank_without_a_clip_gets_an_unlabelled_placeholder():
    batches = batches_of(make_dataset_of_numbers(5), rank=2, world=4)
    assert batches[0].index.tolist()[0] >= 0
    (placeholder,) = batches[1].index.tolist()
    assert placeholder == -1
    assert {label.item() for label in batches[1].labels.values()} == {MISSING}
    assert batches[1].mask.any()


def test_jitter_depends_on_seed_and_epoch_only():
    def draw(seed: int, epoch: int, batch_size: int = 4) -> dict:
        dataset = make_dataset_of_numbers(9, jitter=True, seed=seed)
        dataset.set_epoch(epoch)
        return samples_of(batches_of(dataset, batch_size=batch_size))

    assert draw(0, 0) == draw(0, 0, batch_size=2)
    assert draw(0, 0) != draw(0, 1) and draw(0, 0) != draw(1, 0)


def test_without_jitter_every_epoch_is_the_same():
    dataset = make_dataset_of_numbers(9)
    first = samples_of(batches_of(dataset))
    dataset.set_epoch(1)
    assert samples_of(batches_of(dataset)) == first


def augmented(make_config: Callable, folder: Path) -> Config:
    switches = ("apply_horizontal_flip", "apply_color_jitter", "apply_random_erasing")
    return make_config(folder, {f"augmentations_parameters.{name}": True for name in switches})


@pytest.mark.heavy
def test_loader_processes_do_not_change_the_samples(make_config: Callable, tiny_dataset: Path):
    config = augmented(make_config, tiny_dataset)
    dataset = build_dataset(config, load_data(config).clips, train=True)
    assert samples_of(batches_of(dataset, workers=2)) == samples_of(batches_of(dataset))


@pytest.mark.heavy
@pytest.mark.parametrize("workers", [0, 1])
def test_broken_image_is_named_without_a_traceback(make_config: Callable, tiny_dataset: Path, workers: int):
    config = make_config(tiny_dataset)
    clips = load_data(config).clips
    clips[2].frame_path(0).write_text("not an image")
    with pytest.raises(DataError) as caught:
        batches_of(build_dataset(config, clips, train=False), workers=workers)
    assert str(caught.value).startswith(f"{clips[2].frame_path(0)}: cannot decode")
    assert "Traceback" not in str(caught.value)


def test_dataset_can_be_pickled(make_config: Callable, tiny_dataset: Path):
    config = augmented(make_config, tiny_dataset)
    dataset = build_dataset(config, load_data(config).clips, train=True)
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[0].inputs["frames"], dataset[0].inputs["frames"])


def test_augmentation_does_not_touch_global_generators(make_config: Callable, tiny_dataset: Path):
    config = augmented(make_config, tiny_dataset)
    dataset = build_dataset(config, load_data(config).clips, train=True)
    torch.manual_seed(0)
    random.seed(0)
    before = torch.get_rng_state(), random.getstate()
    dataset[0]
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]


def test_evaluation_is_neither_jittered_nor_augmented(make_config: Callable, tiny_dataset: Path):
    config = augmented(make_config, tiny_dataset)
    clips = load_data(config).clips
    plain, augmented_dataset = (build_dataset(config, clips, train=train) for train in (False, True))
    for dataset in (plain, augmented_dataset):
        dataset.set_epoch(0)
    first = [plain[0].inputs["frames"], augmented_dataset[0].inputs["frames"]]
    for dataset in (plain, augmented_dataset):
        dataset.set_epoch(1)
    assert torch.equal(plain[0].inputs["frames"], first[0])
    assert not torch.equal(augmented_dataset[0].inputs["frames"], first[1])


@pytest.mark.heavy
def test_features_are_read_for_the_same_frames_as_images(make_config: Callable, make_dataset: Callable):
    config = make_config(make_dataset(frames=20))
    clips = load_data(config).clips
    images = build_dataset(config, clips, train=True)

    def load(clip: Clip, frames: list[int]) -> torch.Tensor:
        return torch.stack([images.readers["frames"](clip, [frame])[0].float().flatten() for frame in frames])

    features = build_dataset(config, clips, train=True, features=load)
    for i in range(len(clips)):
        assert torch.equal(features[i].inputs["features"], images[i].inputs["frames"].float().flatten(1))


@pytest.mark.parametrize(("parts", "sizes"), [(1, [5]), (2, [2, 3]), (3, [1, 2, 2]), (5, [1] * 5), (9, [1] * 5)])
def test_batch_splits_into_non_empty_parts(parts: int, sizes: list[int]):
    (batch,) = batches_of(make_dataset_of_numbers(5), batch_size=5)
    split = batch.split(parts)
    assert [len(part.mask) for part in split] == sizes
    assert torch.equal(torch.cat([part.index for part in split]), batch.index)
    for head, label_B in batch.labels.items():
        assert torch.equal(torch.cat([part.labels[head] for part in split]), label_B)
    for part in split:
        assert len(part.inputs["features"]) == len(part.mask) == len(part.index)


def test_samples_have_the_heads_of_the_config(make_config: Callable, tiny_dataset: Path):
    config = make_config(tiny_dataset, {"train_parameters.classification_mode": "hamnosys"})
    data = load_data(config)
    sample = build_dataset(config, data.split.train, train=True)[0]
    assert sample.labels == data.split.train[0].labels and len(sample.labels) == 8
    assert sample.inputs["frames"].shape == (3, 3, 32, 32) and sample.inputs["frames"].dtype == torch.uint8
