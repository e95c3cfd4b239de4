"""Frames with other file names than ours are found by a pattern; never none of them, never those of two recordings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.config.config import Config, build_config
from hearai.data.annotations.frame_naming import suggest_pattern
from hearai.data.annotations.load import load_data
from hearai.data.dataset import build_dataset
from hearai.errors import ConfigError, DataError


def rename(folder: Path, name: Callable[[str, int], str]) -> Path:
    """Renames all frames: name(clip, number) -> file name."""
    for path in [*folder.glob("*/*.jpg")]:
        path.rename(path.with_name(name(path.parent.name, int(path.stem.rpartition("_")[2]))))
    return folder


@pytest.fixture
def config_for(make_config: Callable) -> Callable[..., Config]:
    def make(folder: Path, pattern: str | None) -> Config:
        return make_config(folder, {"general_parameters.frame_pattern": pattern})

    return make


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("img_{number}.jpg", lambda clip, i: f"img_{i:05d}.jpg"),
        ("{number}.jpg", lambda clip, i: f"{i:04d}.jpg"),
        ("{number}.jpg", lambda clip, i: f"{i}.jpg"),
        ("frame-{number}.jpeg", lambda clip, i: f"frame-{i}.jpeg"),
        ("{name}-{number}-left.JPG", lambda clip, i: f"{clip}-{i:02d}-left.JPG"),
        ("zażółć {number} 'a'.png", lambda clip, i: f"zażółć {i} 'a'.png"),
    ],
)
def test_the_same_frames_are_read_under_other_names(
    make_dataset: Callable, config_for: Callable, pattern: str, name: Callable[[str, int], str]
):
    ours, theirs = make_dataset("ours", frames=11), rename(make_dataset("theirs", frames=11), name)
    first, second = config_for(ours, None), config_for(theirs, pattern)
    one, other = load_data(first), load_data(second)
    assert [clip.frame_path(10).name for clip in other.clips[:1]] == [name(other.clips[0].name, 10)]
    before, after = (
        build_dataset(config, data.clips, train=False)[0].inputs["frames"]
        for config, data in ((first, one), (second, other))
    )
    assert before.equal(after)


def test_each_dataset_may_have_its_own_pattern(make_dataset: Callable, make_config: Callable):
    first, second = make_dataset("a", clips=6), rename(make_dataset("b", clips=6), lambda _, i: f"{i:03d}.jpg")
    paths = [str(first), {"path": str(second), "frame_pattern": "{number}.jpg"}]
    clips = load_data(make_config(None, {"general_parameters.data_path": paths})).clips
    assert {clip.frame_path(2).name for clip in clips if clip.dataset_name == "b"} == {"002.jpg"}
    assert all(clip.frame_path(2).is_file() for clip in clips)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        (lambda clip, i: f"img_{i:05d}.png", "general_parameters.frame_pattern: 'img_{number}.png'"),
        (lambda clip, i: f"{clip}_{i:03d}.jpg", "general_parameters.frame_pattern: '{name}_{number}.jpg'"),
        (lambda clip, i: f"it's {i}.jpg", 'general_parameters.frame_pattern: "it\'s {number}.jpg"'),
    ],
)
def test_other_names_are_refused_with_the_pattern_to_give(
    make_dataset: Callable, config_for: Callable, name: Callable[[str, int], str], suggested: str
):
    folder = rename(make_dataset(), name)
    with pytest.raises(DataError, match="5 images have other names, such as") as caught:
        load_data(config_for(folder, None))
    assert suggested in caught.value.problems[0]


def test_a_pattern_that_no_file_fits_is_refused(make_dataset: Callable, config_for: Callable):
    with pytest.raises(DataError) as caught:
        load_data(config_for(make_dataset(), "img_{number}.jpg"))
    assert "img_0.jpg is missing (and 4 more); its 5 images have other names, such as 'c0_0.jpg'" in str(caught.value)
    assert "'{name}_{number}.jpg'" in str(caught.value)


def test_numbers_from_1_are_explained(make_dataset: Callable, config_for: Callable):
    folder = rename(make_dataset(), lambda _, i: f"{i + 1:03d}.jpg")
    with pytest.raises(DataError, match=r"the files that fit '\{number\}.jpg' are frames 1\.\.5; expected every frame"):
        load_data(config_for(folder, "{number}.jpg"))


@pytest.mark.parametrize("second", ["07.png", "007.png"])
def test_frames_numbered_in_two_ways_are_refused(make_dataset: Callable, config_for: Callable, second: str):
    folder = rename(make_dataset(frames=12), lambda _, i: f"{i}.png")
    (folder / "c0" / second).write_bytes((folder / "c0" / "7.png").read_bytes())
    with pytest.raises(
        DataError, match=f"c0: frames are numbered in two ways, such as '{second}' and '0.png'"
    ) as caught:
        load_data(config_for(folder, "{number}.png"))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("img_*.jpg", "perhaps 'img_{number}.jpg'"),
        ("img_%05d.jpg", "perhaps 'img_{number}.jpg'"),
        ("img_{number:05d}.jpg", "perhaps 'img_{number}.jpg'"),
        ("img_####.jpg", "perhaps 'img_{number}.jpg'"),
        ("img.jpg", "with {number} once"),
        ("{number}_{number}.jpg", "with {number} once"),
        ("{clip}_{number}.jpg", "with {number} once"),
        ("../{number}.jpg", "the file name of a frame"),
        ("{number}", "must end with one of .jpg"),
        ("{number}.mp4", "must end with one of .jpg"),
        ("{number}\n.jpg", "the file name of a frame"),
        ("", "the file name of a frame"),
        ({"number": None}, "in quotes: a brace opens a mapping in YAML"),
        (5, "in quotes"),
        (["{number}.jpg"], "in quotes"),
    ],
)
def test_an_invalid_pattern_is_refused_by_the_config(pattern: object, found: str):
    with pytest.raises(ConfigError, match="general_parameters.frame_pattern: got") as caught:
        build_config({"general_parameters": {"frame_pattern": pattern}})
    assert found in str(caught.value)


def test_the_option_does_not_change_fingerprints_of_our_names(make_dataset: Callable, config_for: Callable):
    folder = make_dataset()
    unset, given = load_data(config_for(folder, None)), load_data(config_for(folder, "{name}_{number}.jpg"))
    assert unset.fingerprints == given.fingerprints


def test_two_sets_of_frames_in_a_folder_have_two_fingerprints(make_dataset: Callable, config_for: Callable):
    folder = make_dataset()
    for path in [*folder.glob("*/*.jpg")]:
        path.with_name(f"x{path.name.rpartition('_')[2]}").hardlink_to(path)  # of the same size and time
    one, other = load_data(config_for(folder, None)), load_data(config_for(folder, "x{number}.jpg"))
    assert one.fingerprint != other.fingerprint and one.fingerprints.content != other.fingerprints.content


@pytest.mark.parametrize("images", [["a.jpg"], ["{1}.jpg"], []])
def test_no_pattern_is_suggested_where_none_fits(images: list[str]):
    assert suggest_pattern("clip", images) is None
