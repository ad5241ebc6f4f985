"""The map of a network in a browser: it shows the candidates and plans, and nothing is markup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from explorer.network.document import load
from explorer.network.plan.network_plan import NetworkPlan, candidates, plan_network
from explorer.network.plan.transitions import Host, model
from explorer.network.plan.wishes import Wishes
from explorer.report import network_plan as report
from explorer.report.pages.document import document
from explorer.report.pages.network import SCRIPTS, data, page
from isa.config import Config
from tests.browser import Browser, browser

HOSTILE = (
    """<img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script>'"&amp;"""
)
COUNT = 3  # candidates of an operator


@pytest.fixture(scope="module")
def found(root: Path) -> NetworkPlan:
    """The plan of the small network of the documentation."""
    network, config = load(root / "docs" / "small_network.yaml"), Config.load("b2")
    spaces, hosts = candidates(network, config, COUNT)
    return plan_network(network, config, spaces, hosts, model("stored"), Host(), Wishes())


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all tests of the file."""
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def texts(window: Browser, selector: str) -> list[str]:
    """What the elements of a selector say."""
    script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
    said: list[str] = window.run(script, selector)
    return said


def test_what_is_drawn(found: NetworkPlan) -> None:
    """Every candidate of every node is there, and each plan takes one of each node's."""
    drawn: dict[str, Any] = data(found, "")
    nodes = [node["name"] for node in drawn["nodes"]]
    assert nodes == [node.name for node in found.assembled.problem.nodes]
    own = drawn["candidates"]
    assert len(own["name"]) == sum(len(n.candidates) for n in found.assembled.problem.nodes)
    for plan, solved in zip(
        drawn["plans"], (found.planned.plans[0], found.fixed, found.greedy), strict=True
    ):
        assert solved is not None
        assert plan["cost"] == list(solved.cost)
        places = [row["candidate"] for row in plan["rows"]]
        assert {nodes[own["node"][i]]: own["name"][i] for i in places} == solved.choices
        rows = plan["rows"]
        assert sum(row["cycles"] + row["transitions"] for row in rows) == solved.cost.cycles


@pytest.mark.parametrize("dark", [False, True])
def test_keys_choose_what_the_plan_takes(
    window: Browser, found: NetworkPlan, tmp_path: Path, dark: bool
) -> None:
    """The first key goes to the plan's first candidate, arrows on; a link leads back."""
    path = tmp_path / "map.html"
    path.write_text(page(found), encoding="utf-8")
    window.open(path, dark=dark)
    assert texts(window, "#note p") == list(report.lines(found))
    chart = window.driver.find_element(By.ID, "chart")
    names = [name for name in found.planned.plans[0].choices if name in found.assembled.options]
    for name in names:
        chart.send_keys(Keys.ARROW_RIGHT)
        choice = found.planned.plans[0].choices[name]
        window.wait(f"document.querySelector('#details dd').textContent === '{name}'")
        assert texts(window, "#details h2") == [choice]
        row = next(r for r in report.rows(found, found.planned.plans[0]) if r.node == name)
        assert f"{row.cycles:,}" in " ".join(texts(window, "#details dd"))
    chart.send_keys(Keys.ARROW_UP)
    link = window.run("return location.hash")
    chosen = texts(window, "#details h2")
    window.open(path, link, dark=dark)
    assert texts(window, "#details h2") == chosen
    assert window.run("return performance.getEntriesByType('resource').length") == 0
    assert window.said() == []


def test_finding_filters_the_table(window: Browser, found: NetworkPlan, tmp_path: Path) -> None:
    """Only candidates whose node, id or layouts contain all words are listed."""
    path = tmp_path / "map.html"
    path.write_text(page(found), encoding="utf-8")
    window.open(path)
    name = found.network.accelerated[-1].name
    window.driver.find_element(By.ID, "text").send_keys(name)
    wanted = len(found.assembled.problem.node(name).candidates)
    window.wait(f"document.getElementById('count').textContent.startsWith('{wanted} of ')")
    window.wait(f"document.querySelectorAll('.rows tbody tr').length === {wanted}")
    assert window.said() == []


def poisoned(value: Any) -> Any:
    """The same data with a hostile text in place of each text."""
    match value:
        case str():
            return value + HOSTILE
        case list():
            return [poisoned(part) for part in value]
        case dict():
            return {key: value if key == "key" else poisoned(part) for key, part in value.items()}
    return value


def test_hostile_texts_are_inert(window: Browser, found: NetworkPlan, tmp_path: Path) -> None:
    """Markup, quotes and scripts in any text of the data are shown as they are."""
    drawn = poisoned(data(found, ""))
    for plan, known in zip(drawn["plans"], ("plan", "fixed", "greedy"), strict=True):
        plan["key"] = known
    path = tmp_path / "hostile.html"
    path.write_text(document(HOSTILE, "network", SCRIPTS, drawn), encoding="utf-8")
    window.open(path)
    assert texts(window, "#title") == [HOSTILE]
    window.driver.find_element(By.ID, "chart").send_keys(Keys.ARROW_RIGHT)
    window.wait("document.querySelector('#details h2')")
    assert HOSTILE in texts(window, "#details h2")[0]
    assert window.run("return document.querySelectorAll('img, iframe').length") == 0
    assert window.run("return window.hacked ?? null") is None
    assert window.said() == []
