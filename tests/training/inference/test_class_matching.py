"""Classes of labelled clips and of a model: by number or by word, with every clash."""

from pathlib import Path

import pytest

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.metadata import read_class_names
from hearai.errors import ConfigError
from hearai.sign.hamnosys import MISSING
from hearai.training.inference.class_matching import ClassMatch, ModelClasses, match_classes

BOOK_DRINK_CAT = {0: "book", 1: "drink", 2: "cat"}
CAT_BOOK_DRINK = {0: "cat", 1: "book", 2: "drink"}


def clips_of(*labels: int, dataset: str = "B", head: str = "gloss") -> list[Clip]:
    return [Clip(f"c{i}", Path(dataset), 0, 4, {head: label}) for i, label in enumerate(labels)]


def match(clips: list[Clip], lists: dict, names: dict, by: str | None = None, *, size: int = 3, **more) -> ClassMatch:
    """gloss only; lists: {dataset: {number: word}}"""
    named = {dataset: {"gloss": words} for dataset, words in lists.items()}
    return match_classes(clips, named, ModelClasses({"gloss": size}, {"gloss": names}), by, **more)


def problems(*args, **kwargs) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        match(*args, **kwargs)
    return caught.value.problems


@pytest.mark.parametrize(
    ("head", "file", "header"),
    [("gloss", "glosses.csv", "gloss_id,word"), ("mouth", "classes.csv", "head,class,name")],
)
def test_numbers_with_other_words_are_refused_or_matched_by_word(tmp_path: Path, head: str, file: str, header: str):
    for folder, words in (("A", BOOK_DRINK_CAT), ("B", CAT_BOOK_DRINK)):
        (tmp_path / folder).mkdir()
        rows = [f"{number},{word}" if head == "gloss" else f"{head},{number},{word}" for number, word in words.items()]
        (tmp_path / folder / file).write_text("\n".join([header, *rows]) + "\n")
    model = ModelClasses({head: 3}, read_class_names(tmp_path / "A"))
    clips, lists = clips_of(0, 1, 2, MISSING, head=head), {"B": read_class_names(tmp_path / "B")}
    with pytest.raises(ConfigError) as caught:
        match_classes(clips, lists, model)
    *clashes, remedy = caught.value.problems
    assert clashes == [
        f"{head} 0 is 'cat' in B and 'book' in the model",
        f"{head} 1 is 'book' in B and 'drink' in the model",
        f"{head} 2 is 'drink' in B and 'cat' in the model",
    ]
    assert "--match words" in remedy and "--match numbers" in remedy
    assert match_classes(clips, lists, model, "words").labels(clips, head) == [2, 0, 1, MISSING]
    by_number = match_classes(clips, lists, model, "numbers")
    assert by_number.labels(clips, head) == [0, 1, 2, MISSING] and "although 3 numbers have" in by_number.remarks[0]


@pytest.mark.parametrize(
    ("lists", "names", "clash"),
    [
        ({0: "cat", 1: "drink"}, {1: "drink", 2: "cat"}, "gloss 0 is 'cat' in B, which is gloss 2 in the model"),
        ({0: "book", 1: "drink", 3: "cat"}, BOOK_DRINK_CAT, "gloss 3 is 'cat' in B, which is gloss 2 in the model"),
        ({0: "book", 2: "dog"}, BOOK_DRINK_CAT, "gloss 2 is 'dog' in B and 'cat' in the model"),
    ],
    ids=["the model does not name the number", "beyond the model's classes", "a word that the model lacks"],
)
def test_a_word_under_another_number_is_a_clash(lists: dict, names: dict, clash: str):
    assert problems(clips_of(*lists), {"B": lists}, names)[0] == clash


def test_only_the_first_of_many_clashes_are_listed():
    lists = {number: f"b{number}" for number in range(50)}
    found = problems(clips_of(*lists), {"B": lists}, {number: f"a{number}" for number in range(50)}, size=50)
    assert len(found) == 22 and found[-2] == "... and 30 more classes with two names"


@pytest.mark.parametrize(
    "word", ["Cafe\u0301", " CAF\u00c9", "caf\u00e9"], ids=["decomposed", "capitals, space", "same"]
)
def test_words_are_compared_without_case_spaces_and_unicode_form(word: str):
    clips = clips_of(0)
    assert match(clips, {"B": {0: word}}, {0: "caf\u00e9"}).remarks == []
    assert match(clips, {"B": {0: word}}, {2: "caf\u00e9"}, "words").labels(clips, "gloss") == [2]


@pytest.mark.parametrize(
    ("lists", "names", "remark"),
    [
        ({}, BOOK_DRINK_CAT, "gloss: there is no class list for B, only for the model"),
        (BOOK_DRINK_CAT, {}, "gloss: there is no class list for the model, only for B"),
        ({}, {}, "gloss: there is no class list for B, nor for the model"),
        ({0: "book", 1: "drink"}, BOOK_DRINK_CAT, "gloss: only one of the two class lists names 2"),
        (BOOK_DRINK_CAT, {0: "book", 1: "drink"}, "gloss: only one of the two class lists names 2"),
    ],
)
def test_a_missing_or_incomplete_list_is_said(lists: dict, names: dict, remark: str):
    clips = clips_of(0, 1, 2)
    found = match(clips, {"B": lists}, names)
    assert found.labels(clips, "gloss") == [0, 1, 2]
    assert len(found.remarks) == 1 and found.remarks[0].startswith(remark)
    assert "a number is assumed to mean the same class" in found.remarks[0]


@pytest.mark.parametrize("by", [None, "words"])
def test_unseen_words_are_numbered_after_the_models_classes(by: str | None):
    clips, words = clips_of(0, 7, 9, 7), {0: "book", 7: "dog", 9: "Dog"}
    found = match(clips, {"B": words}, BOOK_DRINK_CAT, by)
    assert found.labels(clips, "gloss") == [0, 3, 3, 3] and found.unseen == {"gloss": {3: "dog"}}


def test_numbers_beyond_the_models_list_need_a_list_or_consent():
    clips = clips_of(0, 4)
    (problem,) = problems(clips, {}, BOOK_DRINK_CAT)
    assert "B: the model has 3 classes of gloss, the data 5" in problem and "--match numbers" in problem
    for found in (match(clips, {}, BOOK_DRINK_CAT, "numbers"), match(clips, {}, {})):
        assert found.labels(clips, "gloss") == [0, 3] and found.unseen == {"gloss": {3: "4"}}


def test_each_dataset_is_matched_by_its_own_list():
    clips = [*clips_of(0, 1, dataset="B"), *clips_of(0, 5, dataset="C")]
    lists = {"B": CAT_BOOK_DRINK, "C": {0: "drink", 5: "cat"}}
    assert match(clips, lists, BOOK_DRINK_CAT, "words").labels(clips, "gloss") == [2, 0, 1, 2]


def test_datasets_that_disagree_are_refused():
    clips = [*clips_of(0, dataset="B"), *clips_of(0, dataset="C")]
    assert problems(clips, {"B": {0: "cat"}, "C": {0: "book"}}, {})[0] == "gloss 0 is 'book' in C and 'cat' in B"


def test_variants_with_one_word_keep_their_number_or_are_refused():
    variants = {0: "home", 1: "home", 2: "cat"}
    clips = clips_of(1, 2)
    assert match(clips, {"B": variants}, variants, "words").labels(clips, "gloss") == [1, 2]
    (problem,) = problems(clips, {"B": {1: "cat", 2: "home"}}, variants, "words")
    assert "gloss 2 of B is 'home', the name of 2 classes of the model (0, 1)" in problem


@pytest.mark.parametrize(
    ("lists", "names", "problem"),
    [
        ({}, BOOK_DRINK_CAT, "there is no class list of gloss for B"),
        (BOOK_DRINK_CAT, {}, "there is no class list of gloss for the model"),
        ({0: "livre", 1: "boire"}, BOOK_DRINK_CAT, "no word of the data is a class of the model"),
    ],
)
def test_words_cannot_be_matched_without_words(lists: dict, names: dict, problem: str):
    assert problem in problems(clips_of(0, 1), {"B": lists}, names, "words")[0]


@pytest.mark.parametrize("by", [None, "words", "numbers"])
def test_hamnosys_classes_mean_the_same_everywhere(by: str | None):
    clips = clips_of(0, 3, MISSING, head="symmetry_operator")
    found = match_classes(clips, {}, ModelClasses({"symmetry_operator": 9}, {}), by)
    assert found.labels(clips, "symmetry_operator") == [0, 3, MISSING] and not found.remarks
