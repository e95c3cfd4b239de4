"""Images of confusion matrices."""

import numpy as np
import pytest
import torch

from hearai.training.outputs import confusion_image as module
from hearai.training.outputs.confusion import Confusion
from hearai.training.outputs.confusion_image import EMPTY_COLOUR, FULL_COLOUR, MARGIN

pytestmark = pytest.mark.training


def confusion_image(confusion: Confusion) -> np.ndarray:
    """(H, W, 3) uint8, as a viewer shows it."""
    return np.asarray(module.confusion_image(confusion).convert("RGB"))


def test_a_confusion_image_shows_shares_of_each_true_class():
    image = confusion_image(Confusion.of_matrix(torch.tensor([[3, 1, 0], [0, 0, 0], [0, 0, 5]])))
    cell = 160

    def colour(true: int, predicted: int) -> list[int]:
        return image[MARGIN + true * cell + cell // 2, MARGIN + predicted * cell + cell // 2].tolist()

    assert image.dtype == np.uint8
    assert colour(2, 2) == list(FULL_COLOUR) and colour(2, 0) == [255] * 3
    assert colour(1, 1) == list(EMPTY_COLOUR), "a class without examples"
    assert colour(0, 0) == [round(255 + 0.75 * (full - 255)) for full in FULL_COLOUR]


@pytest.mark.parametrize("classes", [2, 70, 1500])
def test_a_confusion_image_has_a_readable_size(classes: int):
    height, width, channels = confusion_image(
        Confusion.count(torch.arange(classes), torch.arange(classes), classes)
    ).shape
    assert height == width and channels == 3 and 300 < width < 1600


def test_of_very_many_classes_an_image_shows_those_that_occur():
    labels, predicted = torch.tensor([0, 5, 70_000, 70_000]), torch.tensor([0, 5, 70_000, 123])
    image = confusion_image(Confusion.count(predicted, labels, 70_001))  # rows and columns: 0, 5, 123, 70000
    cell = 120
    cells = image[MARGIN + cell // 2 :: cell, MARGIN + cell // 2 :: cell]
    half = [round(255 + 0.5 * (full - 255)) for full in FULL_COLOUR]
    assert image.shape == (MARGIN + 4 * cell + 1,) * 2 + (3,)
    assert cells[0, 0].tolist() == cells[1, 1].tolist() == list(FULL_COLOUR)
    assert cells[3, 2].tolist() == cells[3, 3].tolist() == half
    assert cells[2, 2].tolist() == list(EMPTY_COLOUR), "class 123 is predicted, but never true"
    plain = confusion_image(Confusion.count(torch.tensor([0, 1, 3, 2]), torch.tensor([0, 1, 3, 3]), 4))
    assert (image[:12, MARGIN:] != plain[:12, MARGIN:]).any(), "the image says how many classes it shows"
