"""Images of confusion matrices."""

import numpy as np
import pytest

from hearai.training.outputs.confusion_image import EMPTY_COLOUR, FULL_COLOUR, MARGIN, confusion_image

pytestmark = pytest.mark.training


def test_a_confusion_image_shows_shares_of_each_true_class():
    matrix = np.array([[3, 1, 0], [0, 0, 0], [0, 0, 5]])
    image = confusion_image(matrix)
    cell = 160

    def colour(true: int, predicted: int) -> list[int]:
        return image[MARGIN + true * cell + cell // 2, MARGIN + predicted * cell + cell // 2].tolist()

    assert image.dtype == np.uint8
    assert colour(2, 2) == list(FULL_COLOUR) and colour(2, 0) == [255] * 3
    assert colour(1, 1) == list(EMPTY_COLOUR), "a class without examples"
    assert colour(0, 0) == [round(255 + 0.75 * (full - 255)) for full in FULL_COLOUR]


@pytest.mark.parametrize("classes", [2, 70, 1500])
def test_a_confusion_image_has_a_readable_size(classes: int):
    height, width, channels = confusion_image(np.eye(classes, dtype=int)).shape
    assert height == width and channels == 3 and 300 < width < 1600
