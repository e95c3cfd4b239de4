"""How names and values are written where people read them."""

from hearai.reporting.study_report.tables import duration, plain, short_names


def test_paths_are_shortened_to_what_tells_them_apart() -> None:
    names = short_names(["train_parameters.lr", "heads.a.x.loss_weight", "heads.a.y.loss_weight", "transformer.lr"])
    assert names == {
        "train_parameters.lr": "train_parameters.lr",
        "heads.a.x.loss_weight": "x.loss_weight",
        "heads.a.y.loss_weight": "y.loss_weight",
        "transformer.lr": "transformer.lr",
    }
    assert short_names(["a.b", "b"]) == {"a.b": "a.b", "b": "b"}


def test_values_are_written_in_few_characters() -> None:
    assert [plain(value) for value in (None, "", True, 0.000123456, 12, "tpe")] == [
        "-",
        "-",
        "true",
        "0.0001235",
        "12",
        "tpe",
    ]


def test_durations_are_written_in_the_unit_people_would_use() -> None:
    assert [duration(s) for s in (None, 7.46, 59.99, 750, 11100)] == [
        "unknown",
        "7.5 s",
        "60.0 s",
        "12 min 30 s",
        "3 h 05 min",
    ]
