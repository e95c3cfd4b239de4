import filecmp
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from hearai.data.demo import build, demo_dataset, make_signers, render_clip
from hearai.data.demo.face import FACE_POINTS
from hearai.data.demo.labels import plan_clips
from hearai.sign.hamnosys import FINGER_DIRECTIONS, HEADS, PALM_NORMALS

TINY = {"clips": 6, "frames": 2, "size": 24}
SIGNERS = make_signers(build.SIGNERS)
RIGHT_HANDED = next(s for s in SIGNERS if not s.left_handed)


def show(signer=RIGHT_HANDED, *, frames=1, size=128, **labels):
    """Pictures and landmarks of a flat hand before the chest, palm out, with some labels changed."""
    all_labels = dict.fromkeys(HEADS, 0) | {
        "hand_shape_base_form": 1,
        "hand_position_palm_orientation": 4,
        "hand_location_y": 14,
    }
    rng = np.random.default_rng(0)
    return render_clip(all_labels | labels, signer, frames=frames, size=size, rng=rng)


def dominant_hand(marks, frame=-1):
    """Joints (21, 3) of a right-handed signer's signing hand in signer space axes (x right, y up, z out)."""
    return marks["right_hand"][frame] * (-1, -1, -1)


def unit(v):
    return v / np.linalg.norm(v)


# the folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return demo_dataset(tmp_path_factory.mktemp("demo"), **TINY, workers=1)


def test_the_folder_meets_the_data_contract(tiny):
    header, *rows = [line.split() for line in (tiny / "test_hamnosys.txt").read_text().splitlines()]
    assert header == ["name", "start", "end", *HEADS]
    assert len(rows) == TINY["clips"]
    for name, start, end, *labels in rows:
        assert len(labels) == len(HEADS)
        for i in range(int(start), int(end) + 1):
            with Image.open(tiny / name / f"{name}_{i}.jpg") as picture:
                assert picture.size == (24, 24)
        assert json.loads((tiny / name / f"{name}_properties.json").read_text()) == {"FPS": 25}
        with np.load(tiny / name / f"{name}.npz") as marks:
            shapes = {k: v.shape for k, v in marks.items()}
            assert {v.dtype for v in marks.values()} == {np.dtype(np.float32)}
        assert shapes.pop("face")[0] == 2
        assert shapes == {"left_hand": (2, 21, 3), "right_hand": (2, 21, 3), "pose": (2, 33, 3)}


def test_glosses_and_signers_are_listed_for_every_clip(tiny):
    names = [line.split()[0] for line in (tiny / "test_hamnosys.txt").read_text().splitlines()[1:]]
    glosses = [line.split() for line in (tiny / "test_gloss.txt").read_text().splitlines()[1:]]
    assert [g[0] for g in glosses] == names
    known = [line.split(",")[0] for line in (tiny / "glosses.csv").read_text().splitlines()[1:]]
    assert {g[3] for g in glosses} <= set(known)
    assert [line.split(",")[0] for line in (tiny / "signers.csv").read_text().splitlines()[1:]] == names


def test_one_worker_and_two_write_the_same_bytes(tiny, tmp_path):
    other = demo_dataset(tmp_path, **TINY, workers=2)
    files = sorted(p.relative_to(tiny) for p in tiny.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file())
    same, different, errors = filecmp.cmpfiles(tiny, other, files, shallow=False)
    assert (different, errors) == ([], [])


def test_the_second_call_builds_nothing(tiny):
    written = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    assert demo_dataset(tiny.parent, **TINY) == tiny
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == written


def test_another_seed_is_another_folder(tiny):
    assert demo_dataset(tiny.parent, **TINY, seed=1, workers=1) != tiny


def test_an_interrupted_build_leaves_no_folder_behind(tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "contact_sheet", broken)
    with pytest.raises(KeyboardInterrupt):
        demo_dataset(tmp_path, **TINY, workers=1)
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


def test_an_impossible_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="frames is 0, allowed: 1 or more"):
        demo_dataset(tmp_path, frames=0)


def test_workers_start_without_torch_and_ray():
    code = "import sys, hearai.data.demo; print({'torch', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# who signs what


@pytest.mark.parametrize("clips", [288, 500, 1600])
def test_every_occurring_class_has_eight_clips(clips):
    plan = plan_clips(clips, build.SIGNERS, seed=0)
    for head in HEADS.values():
        found = Counter(clip.labels[head.name] for clip in plan)
        # y class 0 is never written; everything else that is written is rendered
        assert set(found) == {c.index for c in head.classes if c.count > 0}, head.name
        assert min(found.values()) >= 8, head.name


def test_every_class_is_shown_by_eight_signers_and_every_sign_by_eight():
    plan = plan_clips(1600, build.SIGNERS, seed=0)
    for head in HEADS:
        for label in {clip.labels[head] for clip in plan}:
            assert len({clip.signer for clip in plan if clip.labels[head] == label}) >= 8
    for entry in {clip.entry for clip in plan}:
        assert len({clip.signer for clip in plan if clip.entry == entry}) == 8


def test_frequent_classes_stay_more_frequent():
    plan = plan_clips(1600, build.SIGNERS, seed=0)
    for head in HEADS.values():
        found = Counter(clip.labels[head.name] for clip in plan)
        top = max(head.classes, key=lambda c: c.count).index
        assert found[top] > 1.5 * np.median(list(found.values())), head.name


def test_there_are_24_signers_of_both_hands_and_all_looks():
    assert len(SIGNERS) >= 24
    assert 0.3 < np.mean([s.left_handed for s in SIGNERS]) < 0.6
    for look in ("skin", "top", "wall"):
        assert len({getattr(s, look) for s in SIGNERS}) == len(SIGNERS)
    assert {s.wall_style for s in SIGNERS} == {s.hair_style for s in SIGNERS} == set(range(5))


# the picture


def test_a_left_handed_signer_is_the_mirror_picture_under_the_same_labels():
    twin = replace(RIGHT_HANDED, left_handed=True)
    pictures, marks = show(frames=3, hand_location_x=3, symmetry_operator=6)
    mirrored, marks_twin = show(twin, frames=3, hand_location_x=3, symmetry_operator=6)
    for a, b in zip(pictures, mirrored, strict=True):
        assert ImageOps.mirror(a).tobytes() == b.tobytes()
    turn, shift = (-1, 1, 1), (1, 0, 0)
    np.testing.assert_allclose(marks_twin["left_hand"], marks["right_hand"] * turn + shift, atol=1e-6)
    np.testing.assert_allclose(marks_twin["pose"][:, 13], marks["pose"][:, 14] * turn + shift, atol=1e-6)
    right, left = list(FACE_POINTS).index("right_eye"), list(FACE_POINTS).index("left_eye")
    np.testing.assert_allclose(marks_twin["face"][:, left], marks["face"][:, right] * turn + shift, atol=1e-6)


@pytest.mark.parametrize("direction", range(len(FINGER_DIRECTIONS)))
@pytest.mark.parametrize("palm", [0, 3, 6])
def test_the_hand_points_and_faces_as_the_labels_say(direction, palm):
    level = replace(RIGHT_HANDED, yaw=0, pitch=0, roll=0)
    _, marks = show(level, hand_position_finger_direction=direction, hand_position_palm_orientation=palm)
    hand = dominant_hand(marks)
    along = unit(hand[9] - hand[0])
    across = unit(hand[5] - hand[17])  # towards the thumb
    # within tilt and perspective
    assert along @ FINGER_DIRECTIONS[direction] > 0.85
    assert np.cross(along, across) @ PALM_NORMALS[direction][palm] > 0.8


def test_palm_and_back_look_different_on_every_skin():
    for signer in SIGNERS[:8]:
        shades = []
        for palm in (4, 0):
            (picture,), marks = show(signer, hand_position_palm_orientation=palm)
            hand = marks["left_hand" if signer.left_handed else "right_hand"][0]
            x, y = ((hand[0] + hand[9]) / 2 * 128)[:2].astype(int)
            shades.append(np.asarray(picture)[y - 4 : y + 5, x - 4 : x + 5].mean())
        assert shades[0] > 1.15 * shades[1]


@pytest.mark.parametrize("head", HEADS)
def test_every_class_of_a_head_looks_different(head):
    pictures = []
    for c in HEADS[head].classes[head == "hand_location_y" :]:  # y class 0 is the chest, as 14
        (picture,), marks = show(**{"hand_shape_base_form": 5} | {head: c.index})
        if head.startswith(("hand_shape", "hand_position")):
            x, y = marks["right_hand"][0, 9, :2] * 128
            picture = picture.crop((x - 28, y - 28, x + 28, y + 28))
        pictures.append(np.asarray(picture.resize((24, 24)), float))
    for i, a in enumerate(pictures):
        for b in pictures[:i]:
            assert np.abs(a - b).mean() > 0.9


def test_symmetric_hands_mirror_each_other_and_parallel_ones_agree():
    for symmetry, side in ((7, -1), (8, 1)):
        labels = {"symmetry_operator": symmetry, "hand_position_finger_direction": 7}
        _, marks = show(**labels)
        right, left = (unit(marks[f"{s}_hand"][0, 9] - marks[f"{s}_hand"][0, 0]) for s in ("right", "left"))
        assert right * (side, 1, 1) @ left > 0.9


def test_reversed_movement_shows_in_posture_and_motion():
    for symmetry, axis in ((5, 1), (6, 1), (3, 2), (4, 2)):
        _, marks = show(frames=12, symmetry_operator=symmetry)
        right, left = (marks[f"{s}_hand"][5:, 9, axis] for s in ("right", "left"))
        assert np.abs(right - left).mean() > 0.1
        assert np.corrcoef(right, left)[0, 1] < -0.5


def test_x_classes_are_apart_and_on_their_sides():
    places = [show(hand_location_x=x)[1]["right_hand"][0, 9, 0] for x in (3, 4, 0, 2, 1)]
    assert min(np.diff(places)) > 0.08  # of the picture's width, signer's right first


def test_places_are_in_order_from_top_to_bottom():
    index = {"hand_shape_base_form": 2}
    heights = [show(hand_location_y=y, **index)[1]["right_hand"][0, 8, 1] for y in (3, 17, 18, 4, 6, 11)]
    assert min(np.diff(heights)) > 0.03
    heights = [show(hand_location_y=y)[1]["right_hand"][0, 9, 1] for y in (1, 2, 13, 14, 15, 16)]
    assert min(np.diff(heights)) > 0.05


def test_clips_approach_from_rest_and_hold():
    pictures, marks = show(frames=8)
    wrist = marks["right_hand"][:, 0]
    steps = np.linalg.norm(np.diff(wrist, axis=0), axis=-1)
    assert steps[:2].sum() > 0.2  # from the hip to the chest
    assert steps[3:].max() < 0.05
    assert steps[3:].min() > 0
    assert pictures[3].tobytes() != pictures[4].tobytes()


def test_landmarks_follow_mediapipe_and_legs_are_missing():
    _, marks = show(frames=2)
    assert np.isnan(marks["pose"][:, 23:]).all()
    np.testing.assert_array_equal(marks["pose"][:, 15], marks["left_hand"][:, 0])
    np.testing.assert_array_equal(marks["pose"][:, 16], marks["right_hand"][:, 0])
    assert (marks["pose"][:, 11, 0] > marks["pose"][:, 12, 0]).all()  # left shoulder, right in the picture
    for name in ("face", "left_hand", "right_hand"):
        assert np.isfinite(marks[name]).all()


def test_renders_150_frames_a_second_on_one_core():
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        show(frames=40)
        best = max(best, 40 / (time.process_time() - start))
    assert best > 150
