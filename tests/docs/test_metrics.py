"""The documented metrics, paths and alerts are the code's own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from sessionfold_consumer import endpoint, head
from sessionfold_consumer.health import Bounds, Health
from sessionfold_consumer.lag import Lag
from sessionfold_consumer.metrics import METRICS, Metric, Metrics
from tests.docs import markdown

_PAGE = markdown.ROOT / "docs" / "operations.md"
_TEXT = _PAGE.read_text("utf-8")


def row(metric: Metric) -> list[str]:
    """Return what the table says of a metric."""
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return [f"`{metric.name}`", metric.kind, labels, metric.unit, metric.help]


def test_the_table_is_the_list() -> None:
    """Every metric, in its order, and no other."""
    lines = ["| " + " | ".join(row(metric)).replace("|  |", "| |") + " |" for metric in METRICS]
    assert markdown.tables(_PAGE)["Metrics"] == [row(metric) for metric in METRICS], "\n".join(
        lines
    )


def test_the_bounds_are_the_codes() -> None:
    """Every number of seconds and connections that the text promises."""
    _, _, rest = _TEXT.partition("## Health and metrics")
    section = " ".join(rest.partition("### Metrics")[0].split())
    bounds = Bounds()
    assert f"nothing moved for {bounds.step_seconds:.0f} s" in section
    assert f"has moved within the last {bounds.still_seconds:.0f} s" in section
    assert f"asks the broker every {head.PERIOD_SECONDS:.0f} s" in section
    assert f"within the last {bounds.head_seconds:.0f} s where the log ends" in section
    assert f"with {endpoint.CONNECTION_SECONDS:.0f} seconds for all of it" in section
    assert f"at most {endpoint.MOST_CONNECTIONS} at a time" in section


def yaml_blocks() -> list[Any]:
    """Return what the page's YAML says."""
    return [YAML(typ="safe").load(block.text) for block in markdown.blocks(_PAGE, "yaml")]


def test_the_alerts_ask_for_metrics_that_there_are() -> None:
    """By names and labels that are served; Prometheus does not tell who asks for none."""
    (alerts,) = [block["groups"][0]["rules"] for block in yaml_blocks() if "groups" in block]
    lag = Lag()
    text = Metrics(lag, Health(lag)).text().decode()
    served = {
        sample.name for each in text_string_to_metric_families(text) for sample in each.samples
    }
    asked = {name for each in alerts for name in re.findall(r"sessionfold_\w+", each["expr"])}
    assert len(alerts) == 3
    assert asked
    assert asked <= served


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_asks(metric: Metric) -> None:
    """Base units at the end, `_total` for counters and for nothing else; the help is a sentence."""
    assert re.fullmatch(r"sessionfold(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") is (metric.kind == "counter")
    assert metric.name.endswith("_seconds") is (metric.unit == "seconds")
    assert metric.help.endswith(".")
    assert "session_id" not in metric.labels
