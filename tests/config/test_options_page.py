"""docs/options.md is up to date with the config."""

from hearai.config.config import Config
from hearai.config.model_parts import EXTRACTORS, SEQUENCE_ENCODERS
from hearai.config.options_page import options_page
from tests.helpers import ROOT

PAGE = ROOT / "docs" / "options.md"


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == options_page(), "the config has changed: run `make docs`"


def test_every_option_has_its_meaning_and_range() -> None:
    page = options_page()
    for name, field in Config.model_fields.items():
        table = page.split(f"## {name}\n")[1].split("\n## ")[0]
        for key, option in field.annotation.model_fields.items():
            assert f"| `{key}` |" in table and option.description, f"{name}.{key}"
            assert option.description.replace("|", "\\|") in table
    assert "| `ratio_test` | `0.15` | number >= 0, < 1 | Share of all clips used for testing. |" in page
    assert "| `split` | `auto` | `auto`, `given`, `signer`, `random` |" in page


def test_every_part_is_on_the_page_with_its_summary() -> None:
    page = options_page()
    for name, spec in EXTRACTORS.items():
        assert f"| `{name}` | {spec.input} | {spec.summary} |" in page
    for name, encoder in SEQUENCE_ENCODERS.items():
        assert f"| `{name}` | {encoder.summary} |" in page
