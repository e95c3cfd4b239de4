"""The page of all options says what the config says."""

from hearai.config.config import Config
from hearai.config.options_page import options_page
from tests.helpers import ROOT

PAGE = ROOT / "docs" / "options.md"


def test_the_page_of_options_is_that_of_the_config() -> None:
    assert PAGE.read_text(encoding="utf-8") == options_page(), "the config has changed: run `make docs`"


def test_every_option_is_on_the_page_with_its_meaning_and_range() -> None:
    page = options_page()
    for name, field in Config.model_fields.items():
        table = page.split(f"## {name}\n")[1].split("\n## ")[0]
        for key, option in field.annotation.model_fields.items():
            assert f"| `{key}` |" in table and option.description, f"{name}.{key}"
            assert option.description.replace("|", "\\|") in table
    assert "| `ratio_test` | `0.15` | number >= 0, < 1 | Test share of all clips. |" in page
    assert "| `split` | `auto` | `auto`, `signer`, `random` |" in page
