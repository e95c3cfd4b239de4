"""The Grafana dashboard and its provisioning: its metrics exist and Prometheus accepts its queries."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from hearai.search.trial.trial_metrics import TRIAL_GAUGES
from hearai.search.tune.study_metrics import PREFIX, STUDY_GAUGES
from tests.helpers import ROOT
from tests.helpers.prometheus import needs_prometheus, prometheus, query

FOLDER = ROOT / "cluster" / "grafana"
DASHBOARD = json.loads((FOLDER / "dashboards" / "hearai.json").read_text(encoding="utf-8"))
SCHEMA = json.loads(Path(__file__).with_name("grafana_schema.json").read_text(encoding="utf-8"))
PANELS = DASHBOARD["panels"]
NAMES = {PREFIX + name for name in (*STUDY_GAUGES, *TRIAL_GAUGES)}
STUDY = next(variable for variable in DASHBOARD["templating"]["list"] if variable["name"] == "study")
PROMTOOL = shutil.which("promtool")


def expressions() -> list[str]:
    return [target["expr"] for panel in PANELS for target in panel["targets"]]


def test_every_metric_of_a_search_is_shown_and_no_other() -> None:
    shown = {name for text in expressions() for name in re.findall(rf"{PREFIX}\w+", text)}
    assert shown == NAMES
    assert set(re.findall(rf"{PREFIX}\w+", json.dumps(STUDY))) <= NAMES
    assert set(re.findall(rf"{PREFIX}hearai_\w+", (FOLDER / "README.md").read_text())) == NAMES


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_has_a_description_unit_and_study_filter(panel: dict[str, Any]) -> None:
    assert panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for target in panel["targets"]:
        assert 'study=~"$study"' in target["expr"] and "{{study}}" in target["legendFormat"]
        assert ("trial)" in target["expr"] and panel["type"] == "timeseries") == ("{{trial}}" in target["legendFormat"])


def test_the_dashboard_has_the_schema_of_grafana() -> None:
    assert not problems_of(DASHBOARD, "dashboard")
    for panel in PANELS:
        assert not problems_of(panel["options"], panel["type"])
        if panel["type"] == "timeseries":
            assert not problems_of(panel["fieldConfig"]["defaults"].get("custom", {}), "timeseries field")
    found = " ".join(problems_of({**DASHBOARD, "graphTooltip": "shared", "pannels": []}, "dashboard"))
    assert "'pannels' was unexpected" in found and "'shared' is not one of" in found


def problems_of(value: dict[str, Any], what: str) -> list[str]:
    """What is wrong with a part of a dashboard, by the types that Grafana publishes (see the comment in the file)."""
    return [error.message for error in Draft7Validator(SCHEMA[what]).iter_errors(value)]


def test_panels_do_not_overlap() -> None:
    occupied: set[tuple[int, int]] = set()
    for grid in (panel["gridPos"] for panel in PANELS):
        assert grid["x"] + grid["w"] <= 24
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not cells & occupied
        occupied |= cells
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_provisioning_files_are_consistent() -> None:
    (source,) = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "${PROMETHEUS_URL}", True)
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/hearai.yaml").read_text())["providers"]
    readme = (FOLDER / "README.md").read_text()
    assert f"cluster/grafana/dashboards:{provider['options']['path']}:ro" in readme
    assert "PROMETHEUS_URL=" in readme
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped


@pytest.mark.heavy
@needs_prometheus
def test_prometheus_accepts_every_query(tmp_path: Path) -> None:
    with prometheus(tmp_path / "prometheus") as address:
        for text in expressions():
            assert query(address, text.replace("$study", STUDY["allValue"])) == [], "nothing is scraped"
        with pytest.raises(AssertionError, match="parse error"):
            query(address, "max by (study (ray_hearai_trials_running)")


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: apt-get install prometheus")
def test_prometheus_accepts_its_configuration() -> None:
    found = subprocess.run([PROMTOOL, "check", "config", FOLDER / "prometheus.yml"], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
