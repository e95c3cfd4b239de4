"""Landmark files of other tools are read as ours; what is no such file is refused."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from hearai.data.landmarks.foreign import is_foreign, read_foreign
from hearai.data.landmarks.points import TARGETS, Landmarks
from hearai.data.landmarks.pose_file import read_pose_file, write_pose_file
from hearai.data.landmarks.skeletons import BODY_25, COCO_BODY, KAGGLE, SEM_LEX, WHOLE_BODY, body_target
from hearai.errors import DataError
from hearai.sign.skeleton import BODY, LEFT, POINTS, RIGHT

LEFT_SHOULDER, RIGHT_SHOULDER = BODY + 11, BODY + 12
FRAMES = 3


def numbered(count: int, channels: int = 3) -> np.ndarray:
    """(FRAMES, count, channels): x of point p is (p + 1) / 1000, y is 0.5, the third channel 0.25."""
    points = np.full((FRAMES, count, 3), 0.25, np.float32)
    points[..., 0] = (np.arange(count) + 1) / 1000
    points[..., 1] = 0.5
    return points[..., :channels]


def origin_of(landmarks: Landmarks, target: int) -> int:
    """The point of `numbered` that one of our points is."""
    return round(float(landmarks.points[0, target, 0]) * 1000) - 1


def write_parquet(path: Path, points: np.ndarray, names: tuple[str, ...] = ("x", "y", "z")) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    flat = points.reshape(-1, points.shape[-1])
    pq.write_table(pa.table({name: flat[:, i] for i, name in enumerate(names)}), path)


def text(value: str) -> bytes:
    return struct.pack("<H", len(value)) + value.encode()


def pose_bytes(version: float = 0.2, persons: int = 1, name: str = "LEFT_HAND_LANDMARKS") -> bytes:
    """A .pose file of 100 x 50 pixels with one hand; the last person has the highest confidence."""
    data = struct.pack("<fHHHH", version, 100, 50, 0, 1) + text(name) + text("XYC") + struct.pack("<HHH", 21, 0, 0)
    data += b"".join(text(f"p{i}") for i in range(21))
    values = np.stack([numbered(21, 2) * 100 + person for person in range(persons)], 1)
    confidence = np.stack([np.full((FRAMES, 21), 0.5 + person) for person in range(persons)], 1)
    confidence[:, :, 20] = 0
    if version == 0:
        both = np.concatenate([values, confidence[..., None]], -1).astype("<f4")
        frames = [struct.pack("<H", persons) + b"".join(b"\0\0" + one.tobytes() for one in frame) for frame in both]
        return data + struct.pack("<HH", 25, FRAMES) + b"".join(frames)
    data += struct.pack("<HHH", 25, FRAMES, persons) if version < 0.15 else struct.pack("<fIH", 25, FRAMES, persons)
    return data + values.astype("<f4").tobytes() + confidence.astype("<f4").tobytes()


@pytest.mark.parametrize(
    ("targets", "name", "left", "right", "shoulder"),
    [(SEM_LEX, "Sem-Lex", 511, 532, 489), (KAGGLE, "Holistic", 468, 522, 500), (WHOLE_BODY, "COCO", 91, 112, 5)],
)
def test_arrays_are_recognised_by_their_points(
    tmp_path: Path, targets: list[int], name: str, left: int, right: int, shoulder: int
) -> None:
    np.save(tmp_path / "clip.npy", numbered(len(targets)))
    landmarks = read_foreign(tmp_path / "clip.npy")
    assert name in landmarks.skeleton and landmarks.frames == FRAMES
    assert [origin_of(landmarks, place) for place in (LEFT, RIGHT, LEFT_SHOULDER)] == [left, right, shoulder]


def test_a_kaggle_sequence_is_read(tmp_path: Path) -> None:
    points = numbered(543)
    points[1, 468] = np.nan
    write_parquet(tmp_path / "1.parquet", points)
    landmarks = read_foreign(tmp_path / "1.parquet")
    assert [origin_of(landmarks, place) for place in (LEFT, RIGHT, BODY)] == [468, 522, 489]
    assert np.isnan(landmarks.points[1, LEFT]).all() and landmarks.points[0, LEFT, 2] == 0.25


@pytest.mark.parametrize("version", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("persons", [1, 2])
def test_every_version_of_pose_files_is_read(tmp_path: Path, version: float, persons: int) -> None:
    (tmp_path / "clip.pose").write_bytes(pose_bytes(version, persons))
    landmarks = read_foreign(tmp_path / "clip.pose")
    shift = persons - 1  # pixels by which the person with the highest confidence is moved
    np.testing.assert_allclose(landmarks.points[2, LEFT + 3], [(0.4 + shift) / 100, (50 + shift) / 50, np.nan], 1e-5)
    assert np.isnan(landmarks.points[0, LEFT + 20]).all() and landmarks.fps == 25
    assert bool(landmarks.notes) == (persons == 2)


def test_pose_files_of_others_are_read() -> None:
    if not (folder := os.environ.get("HEARAI_REAL_DATA")):
        pytest.skip("HEARAI_REAL_DATA is not set; set it to the folder with poses/mediapipe.pose")
    for name, frames in (("mediapipe", 170), ("openpose", 93)):
        landmarks = read_foreign(Path(folder, "poses", f"{name}.pose"))
        assert (landmarks.frames, landmarks.fps) == (frames, 24)
        # The signers face the camera: their left is on the right of the image.
        assert (landmarks.points[:, LEFT_SHOULDER, 0] > landmarks.points[:, RIGHT_SHOULDER, 0]).all()
        wrist = np.nanmean(landmarks.points[:, BODY + 16, :2] - landmarks.points[:, RIGHT, :2], 0)
        assert np.abs(wrist).max() < 0.05


def person(shift: float = 0.0, confidence: float = 0.9) -> dict:
    points = {"pose_keypoints_2d": 25, "hand_left_keypoints_2d": 21, "hand_right_keypoints_2d": 21}
    return {key: [n for i in range(count) for n in (10.0 + i + shift, 20, confidence)] for key, count in points.items()}


def test_a_folder_of_openpose_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for frame, people in enumerate([[person()], [], [person(5, 0.1), person(1)]], 9):
        (folder / f"clip_{frame}_keypoints.json").write_text(json.dumps({"people": people}))
    landmarks = read_foreign(folder, size=(100, 50))
    assert is_foreign(folder) and "OpenPose" in landmarks.skeleton and "2 persons" in landmarks.notes[0]
    shoulder = BODY_25.index("LShoulder")
    np.testing.assert_allclose(
        landmarks.points[:, LEFT_SHOULDER, 0], [(10 + shoulder) / 100, np.nan, (11 + shoulder) / 100]
    )
    assert read_foreign(folder).points[0, LEFT_SHOULDER, 1] == np.float32(20 / 35)
    (folder / "clip_10_keypoints.json").unlink()
    with pytest.raises(DataError, match="the file of frame 10 is missing"):
        read_foreign(folder)


def test_body_points_of_all_spellings_are_known() -> None:
    assert body_target("LEFT_SHOULDER") == body_target("LShoulder") == body_target("left_shoulder") == LEFT_SHOULDER
    assert body_target("RBigToe") == body_target("right_big_toe") == TARGETS["pose.right_foot_index"]
    assert sum(body_target(name) >= 0 for name in BODY_25) == 21
    assert sum(body_target(name) >= 0 for name in COCO_BODY) == 21


def test_other_points_are_described_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "landmarks.yaml").write_text("points: [right_hand.wrist, null, left_hand.wrist]\nthird: confidence\n")
    points = numbered(3)
    points[0, 2, 2] = 0
    np.save(tmp_path / "clip.npy", points)
    landmarks = read_foreign(tmp_path / "clip.npy")
    assert landmarks.skeleton == "landmarks.yaml: 2 of 3 points" and origin_of(landmarks, RIGHT) == 0
    assert np.isnan(landmarks.points[:, LEFT, 0]).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("points: [left_hand.wrist]", r"shape \(3, 2, 3\); expected \(frames, 1, 2 or 3\)"),
        ("points: [hand, null]", "unknown point 'hand'"),
        ("points: [pose.nose, pose.nose]", "pose.nose is named twice"),
        ("points: {a: 1}", "no list of names"),
        ("points: [pose.nose, null]\nbones: []", "unknown bones"),
        ("points: [[pose.nose], null]", "unknown point .*pose.nose"),
        ("points: [pose.nose, null]\nedges: 3", "edges is no list of pairs; expected pairs of the names"),
        ("points: [pose.nose, null]\nedges: [[pose.nose, x]]", "edges has 'x'; expected pairs of the names"),
        ("points: [pose.nose, pose.left_ear]\nmirror: [[pose.nose, pose.left_ear]]", "are no mirror images"),
        ("points: [pose.nose, null]\nthird: w", "third is 'w'"),
    ],
)
def test_an_invalid_description_is_refused(tmp_path: Path, description: str, message: str) -> None:
    (tmp_path / "landmarks.yaml").write_text(description)
    np.save(tmp_path / "clip.npy", numbered(2))
    with pytest.raises(DataError, match=message):
        read_foreign(tmp_path / "clip.npy")


def test_edges_that_models_do_not_have_are_named(tmp_path: Path) -> None:
    names = "points: [left_hand.wrist, right_hand.wrist, pose.left_wrist]"
    mirror = "mirror: [[left_hand.wrist, right_hand.wrist]]"
    edges = "edges: [[left_hand.wrist, right_hand.wrist], [pose.left_wrist, left_hand.wrist]]"
    (tmp_path / "landmarks.yaml").write_text(f"{names}\n{mirror}\n{edges}\n")
    np.save(tmp_path / "clip.npy", numbered(3))
    (note,) = read_foreign(tmp_path / "clip.npy").notes
    assert note == "1 edges are no bones of our skeleton, and not used: left_hand.wrist to right_hand.wrist"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [2.0**100, 1e300])
def test_numbers_beyond_float32_are_refused(value: float, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((1, 553, 3), value * 1e30))
    with pytest.raises(DataError, match="infinite number"):
        read_foreign(tmp_path / "a.npy")


@pytest.mark.parametrize("fps", [np.nan, np.inf, -1.0, 1e30, 1e-30])
def test_an_impossible_rate_of_a_pose_file_is_unknown(fps: float, tmp_path: Path) -> None:
    points = np.full((2, POINTS, 3), 0.5, np.float32)
    write_pose_file(tmp_path / "a.pose", Landmarks(points, "test", fps), (100, 100))
    assert read_foreign(tmp_path / "a.pose").fps is None


def test_saved_landmarks_are_a_landmark_file(tmp_path: Path) -> None:
    from hearai.data.landmarks.clip_points import check_landmarks, count_frames

    np.save(tmp_path / "clip.npy", numbered(553))
    read_foreign(tmp_path / "clip.npy").save(tmp_path / "clip.npz")
    assert check_landmarks(tmp_path / "clip.npz", FRAMES) == [] and count_frames(tmp_path / "clip.npz") == FRAMES


BAD_ARRAYS = {
    "another number of points": (numbered(100), r"shape \(3, 100, 3\); expected \(frames, 553, 543, 133"),
    "no numbers": (np.full((2, 553, 3), "a"), "expected numbers"),
    "no frames": (numbered(553)[:0], "contains no frames"),
    "nothing known": (numbered(553) * np.nan, "no point of hands and body is known"),
    "only a face": (np.where(np.arange(553)[:, None] < 478, numbered(553), 0), "no point of hands and body is known"),
    "an infinite number": (numbered(553) * np.inf, "infinite number"),
    "one frame": (numbered(553)[0], r"shape \(553, 3\)"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_an_invalid_array_is_refused(tmp_path: Path, name: str) -> None:
    array, message = BAD_ARRAYS[name]
    np.save(tmp_path / "clip.npy", array)
    with pytest.raises(DataError, match=message):
        read_foreign(tmp_path / "clip.npy")


def npy_header(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


BAD_FILES = {
    "a.npy": [b"", b"PK\x03\x04", npy_header("(9999999999, 553, 3)"), npy_header("(2, 553, 3)") + b"\0" * 99],
    "a.pose": [b"", b"\0" * 64, pose_bytes()[:-1], pose_bytes() + b"0", pose_bytes(0.1)[:200], pose_bytes(0.0)[:-9]],
    "a.parquet": [b"", b"PAR1PAR1", b"\0" * 99],
    "a.csv": [b"1,2"],
}


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, files in BAD_FILES.items() for data in files])
def test_a_broken_file_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as error:
        read_foreign(tmp_path / name)
    (problem,) = error.value.problems
    assert problem.startswith(f"{tmp_path / name}: ") and "expected" in problem


def test_a_pose_file_without_hands_and_body_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pose").write_bytes(pose_bytes(name="EARS"))
    with pytest.raises(DataError, match=r"components EARS \(21 points\); expected one of BODY"):
        read_pose_file(tmp_path / "a.pose")


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        (numbered(543)[:, :-1], ("x", "y", "z"), "1,626 rows; expected 543 rows for each"),
        (numbered(543), ("x", "y", "w"), r"columns x, y, w; expected x, y, z \(z missing\)"),
        (numbered(543).astype(str), ("x", "y", "z"), "x, y, z are .*string.*; expected numbers"),
    ],
)
def test_another_parquet_file_is_refused(tmp_path: Path, rows: np.ndarray, names: tuple, message: str) -> None:
    write_parquet(tmp_path / "a.parquet", rows, names)
    with pytest.raises(DataError, match=message):
        read_foreign(tmp_path / "a.parquet")


def test_a_parquet_file_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    column = pyarrow.array(np.full(543, 0.5, np.float32))
    parquet.write_table(pyarrow.Table.from_arrays([column] * 4, names=["x", "x", "y", "z"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="has the column x twice"):
        read_foreign(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", '{"people": [3]}', '{"people": [{"pose_keypoints_2d": [1]}]}', "[" * 9999),
        '{"people": [{"pose_keypoints_2d": ["1"]}]}',
        f'{{"people": [{{"hand_left_keypoints_2d": [{"9" * 400}]}}]}}',
    ],
)
def test_json_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a_0_keypoints.json").write_text(content)
    with pytest.raises(DataError, match=r"a_0_keypoints.json: cannot read; expected OpenPose's JSON"):
        read_foreign(tmp_path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pose")
    with pytest.raises(DataError, match="not a regular file"):
        read_foreign(tmp_path / "a.pose")
    with pytest.raises(DataError, match="no such file"):
        read_foreign(tmp_path / "b.npy")
