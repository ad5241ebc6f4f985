"""Pages in a browser: what they show is what was computed, and nothing of it is markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import numpy as np
import pandas as pd
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from explorer.embedding.digits import Embedding
from explorer.embedding.facts import CLASSES
from explorer.embedding.several import term_by_term
from explorer.operators import resolve
from explorer.ranking.best_first import Ranking, rank
from explorer.ranking.explore import embeddings, gemm_intrinsic
from explorer.report.front_plot import Front
from explorer.report.front_plot import page as front_page
from explorer.report.lanes import picture
from explorer.report.pages.document import document
from explorer.report.pages.space import SCRIPTS, data, front, page, words
from isa.config import Config
from tests.browser import Browser, browser

OPERATOR = "conv2d:n=1,c=3,h=6,w=6,k=4,r=3,s=3,pad=1"
EVERY = 28  # of the embeddings, so that some of each class are drawn
HOSTILE = (
    """<img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script>'"&amp;"""
)
COMMAND = words(OPERATOR, "default", "portable", 1)

# Where the symbols and texts of a picture are on the screen, by its scene graph.
SCENE = """
const element = document.querySelector(arguments[0]), view = element.view;
const canvas = element.querySelector("canvas").getBoundingClientRect(), padding = view.padding();
const origin = [view.origin()[0] + padding.left, view.origin()[1] + padding.top];
const found = { symbols: [], texts: [], width: canvas.width, height: canvas.height };
(function walk(item, x, y) {
  if (item.marktype) return item.items.forEach(inner => walk(inner, x, y));
  const mark = item.mark?.marktype;
  if (mark === "text" && item.text !== "" && item.opacity !== 0) {
    const { x1, y1, x2, y2 } = item.bounds;
    const left = x + origin[0], top = y + origin[1];
    found.texts.push([String(item.text), x1 + left, y1 + top, x2 + left, y2 + top]);
  }
  if (mark === "symbol" && Number.isInteger(item.datum?.i)) {
    found.symbols.push([item.datum.i, item.x + x + origin[0], item.y + y + origin[1]]);
  }
  for (const inner of item.items ?? []) walk(inner, x + (item.x ?? 0), y + (item.y ?? 0));
})(view.scenegraph().root, 0, 0);
return found;
"""

# What the lanes' tables say, as lines of words.
LANES = """
const rows = table => [...table.rows].map(row => [...row.cells].map(cell => cell.textContent));
return [...document.querySelectorAll(`#${arguments[0]} > *`)].flatMap(element => {
  if (element.tagName === "P") return [[element.textContent]];
  const table = element.querySelector("table"), aside = element.querySelector("p");
  const title = element.querySelector("figcaption").textContent;
  const cells = rows(table).map(row => table.className === "block" ? [row.join("")] : row);
  return [[title], ...cells, ...(aside ? [[aside.textContent]] : [])];
});
"""


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    """Some embeddings of each class, ranked."""
    operator, config = resolve(OPERATOR), Config.default()
    found = embeddings(operator, config, tuple(CLASSES))[::EVERY]
    return rank(operator, config, found, top=None, effort=1, jobs=1)


@pytest.fixture(scope="module")
def shown(ranking: Ranking, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ranking's map."""
    path = tmp_path_factory.mktemp("pages") / "map.html"
    path.write_text(page(ranking, COMMAND), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser."""
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def at(window: Browser, x: float, y: float) -> tuple[Any, int, int]:
    """A place of the map as an offset from the middle of its canvas, as the driver wants it."""
    canvas = window.driver.find_element(By.CSS_SELECTOR, "#chart canvas")
    size = canvas.size
    return canvas, round(x - size["width"] / 2), round(y - size["height"] / 2)


def identities(ranking: Ranking) -> list[str]:
    """The ids in the order of the points."""
    return [e.embedding.id for e in ranking.evaluations] + ["reference"] * bool(ranking.base)


def test_the_page_is_reproducible_and_stands_alone(ranking: Ranking, shown: Path) -> None:
    """Equal rankings give equal bytes; the page loads nothing, by its policy too."""
    text = shown.read_text(encoding="utf-8")
    assert page(ranking, COMMAND) == text
    markup = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=|https?://|@import|<iframe|<link", markup)
    assert "default-src 'none'" in text


def test_front() -> None:
    """The front is what no other point beats, by comparing all pairs; of equal points the first."""
    draw = np.random.default_rng(7)
    x, y = draw.integers(0, 9, 60).astype(float), draw.integers(0, 9, 60).astype(float)
    points = list(zip(x, y, strict=True))
    best = [p for p in points if not any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points)]
    assert sorted(front(x, y)) == sorted({points.index(p) for p in best})


def test_a_click_shows_what_follows(window: Browser, shown: Path, ranking: Ranking) -> None:
    """A point under the pointer tells its id and layouts, a click shows it, an address leads there.

    The keys go on from it.
    """
    window.open(shown)
    scene = window.run(SCENE, "#chart")
    place, x, y = next(s for s in scene["symbols"] if s[0] == len(ranking.evaluations) // 2)
    canvas, dx, dy = at(window, x, y)
    ActionChains(window.driver).move_to_element_with_offset(canvas, dx, dy).click().perform()
    window.wait(
        "document.getElementById('chosen').textContent !== " + json.dumps(identities(ranking)[0])
    )
    chosen = window.run("return document.getElementById('chosen').textContent")
    values = data(ranking, "", COMMAND, lambda _: None)["points"]["metrics"]
    names = identities(ranking)
    for name in ("footprint", "cycles"):  # another one may lie at the same place
        assert values[name][names.index(chosen)] == values[name][place]
    window.wait("!document.getElementById('tip').hidden")
    tip = window.run("return document.getElementById('tip').innerText").split()
    assert {"id", "inp", "wgt", "out", "footprint", "cycles"} <= set(tip)
    assert set(names) & set(tip)
    asked = parse_qs(window.run("return location.hash.slice(1)"))
    assert asked["id"] == [chosen]
    text = window.run("return document.getElementById('details').innerText")
    for heading in (
        "Lanes",
        "Packed layouts",
        "Loops",
        "Schedule",
        "Where the cycles went",
        "Timeline",
    ):
        assert heading in text
    assert f"explorer show '{OPERATOR}'" in text or f"explorer show {OPERATOR}" in text
    window.open(shown, f"#id={quote(names[-2], safe='')}&x=steps&y=transform&facet=classes")
    assert window.run("return document.getElementById('chosen').textContent") == names[-2]
    assert window.run("return document.getElementById('x').value") == "steps"
    chart = window.driver.find_element(By.ID, "chart")
    window.run("arguments[0].focus()", chart)
    chart.send_keys(Keys.PAGE_UP)
    window.wait("!location.hash.includes(" + json.dumps(quote(names[-2], safe="")) + ")")
    assert window.said() == []


def test_brushing_filters_the_table(window: Browser, shown: Path, ranking: Ranking) -> None:
    """A rectangle leaves the points in it; clearing it leaves all."""
    window.open(shown, "#x=footprint&y=cycles")
    scene = window.run(SCENE, "#chart")
    xs, ys = ([s[k] for s in scene["symbols"]] for k in (1, 2))
    canvas, dx, dy = at(window, min(xs) - 5, max(ys) + 5)
    reach = round((max(xs) - min(xs)) / 2), -round((max(ys) - min(ys)) / 2)
    actions = ActionChains(window.driver).move_to_element_with_offset(canvas, dx, dy)
    actions.click_and_hold().move_by_offset(*reach).release().perform()
    window.wait("document.getElementById('from-x').value !== ''")
    low_x, high_x, low_y, high_y = (
        float(window.run("return document.getElementById(arguments[0]).value", name))
        for name in ("from-x", "to-x", "from-y", "to-y")
    )
    points = data(ranking, "", COMMAND, lambda _: None)["points"]
    metrics = points["metrics"]
    inside = {
        name
        for name, x, y in zip(points["id"], metrics["footprint"], metrics["cycles"], strict=True)
        if low_x <= x <= high_x and low_y <= y <= high_y
    }
    assert 0 < len(inside) < len(points["id"])
    window.wait(f"document.getElementById('count').textContent.startsWith('{len(inside)} of ')")
    listed = window.run(
        "return [...document.querySelectorAll('.rows .link')].map(e => e.textContent)"
    )
    assert set(listed) == inside
    window.driver.find_element(By.ID, "reset").click()
    window.wait(
        f"document.getElementById('count').textContent.startsWith('{len(points['id'])} of ')"
    )
    assert window.said() == []


def words_of(lines: Sequence[str]) -> list[list[str]]:
    """Lines as their words, without spaces between columns and a share that is rounded."""
    return [line.partition(" (")[0].split() for line in lines]


def test_lanes_are_those_that_python_draws(window: Browser, shown: Path, ranking: Ranking) -> None:
    """Embeddings of every class: the page works out the same lanes as `picture`, in any step."""
    window.open(shown)
    operator = ranking.operator.computation
    intrinsic = gemm_intrinsic(ranking.config)
    seen: set[str] = set()
    for evaluation in ranking.evaluations:
        new = set(evaluation.embedding.classes) - seen
        if not new:
            continue
        seen |= new
        name = evaluation.embedding.id
        window.run("location.hash = 'id=' + encodeURIComponent(arguments[0])", name)
        window.wait(f"document.getElementById('chosen').textContent === {json.dumps(name)}")
        steps = evaluation.design.nest.steps
        for step in {0, steps // 2, steps - 1}:
            window.run(
                "const e = document.getElementById('step'); e.value = arguments[0];"
                "e.dispatchEvent(new Event('input'))",
                step,
            )
            assert isinstance(evaluation.embedding, Embedding)
            drawn = [" ".join(row).replace(" %)", "%)") for row in window.run(LANES, "lanes")]
            expected = picture(evaluation.embedding, operator, intrinsic, step)
            assert words_of(drawn) == words_of(list(expected)), (name, step)
    assert seen >= {"swapped", "strided", "fused", "skewed", "diagonal", "multi"}
    assert window.said() == []


def test_several_terms_each_have_their_lanes(window: Browser, tmp_path: Path) -> None:
    """Of a sum the page draws the lanes of each term's own steps, and lists layouts of all."""
    operator, config = resolve("conv2d:n=1,c=8,h=4,w=4,k=4,r=1,s=1,concat=5+3"), Config.default()
    found = embeddings(operator, config, ("padded", "multi"))[:3]
    ranking = rank(operator, config, found, top=None, effort=1, jobs=1)
    path = tmp_path / "map.html"
    path.write_text(page(ranking, words(operator.name, "default", "portable", 1)), encoding="utf-8")
    window.open(path)
    intrinsic, best = gemm_intrinsic(config), ranking.evaluations[0]
    for number, (embedding, term) in enumerate(term_by_term(best.embedding, operator), start=1):
        suffix, step = ("" if number == 1 else f"-{number}"), number
        window.run(
            "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event('input'))",
            f"step{suffix}",
            step,
        )
        drawn = [" ".join(row).replace(" %)", "%)") for row in window.run(LANES, f"lanes{suffix}")]
        assert words_of(drawn) == words_of(list(picture(embedding, term, intrinsic, step)))
    text = window.run("return document.getElementById('details').innerText")
    for named in ("Lanes of term 2", "data1 on port inp", "weight2 on port wgt"):
        assert named in text
    assert window.said() == []


@pytest.mark.parametrize("dark", [False, True])
def test_labels_are_inside(window: Browser, shown: Path, dark: bool) -> None:
    """In light and dark, with and without facets, no text is cut off, and it stands out."""
    for fragment in ("#x=footprint", "#x=transform&y=duplication&facet=classes", "#x=utilisation"):
        window.open(shown, fragment, dark=dark)
        scene = window.run(SCENE, "#chart")
        labels = [text for text, *_ in scene["texts"]]
        assert len(labels) > 6
        for text, x1, y1, x2, y2 in scene["texts"]:
            inside = (
                x1 >= -1 and y1 >= -1 and x2 <= scene["width"] + 1 and y2 <= scene["height"] + 1
            )
            assert inside, text
    paper = window.run("return getComputedStyle(document.body).backgroundColor")
    ink = window.run("return getComputedStyle(document.body).color")
    levels = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (paper, ink)]
    darker, lighter = levels if dark else reversed(levels)
    assert lighter - darker > 500
    assert window.run("return performance.getEntriesByType('resource').length") == 0
    assert window.said() == []


def poisoned(value: Any) -> Any:
    """The same data with a hostile text in place of each text that is not a key."""
    kept = {"x", "y", "z", "in0", "in1", "out"}
    if isinstance(value, str):
        return value if value in kept else value + HOSTILE
    if isinstance(value, list | tuple):
        return [poisoned(part) for part in value]
    if isinstance(value, dict):
        return {key: poisoned(part) for key, part in value.items()}
    return value


def test_hostile_texts_are_inert(window: Browser, ranking: Ranking, tmp_path: Path) -> None:
    """Markup, quotes and scripts in any text of the data are shown as they are."""
    found = data(ranking, "", [HOSTILE], lambda _: None)
    kept = found["about"]["metrics"], found["timelines"]["modules"], found["details"]
    found = poisoned(found)
    found["about"]["metrics"], found["timelines"]["modules"] = kept[0], kept[1]
    for place, own in enumerate(kept[2]):
        found["details"][place][0] = own[0]  # names of loops are keys
    path = tmp_path / "hostile.html"
    path.write_text(document(HOSTILE, "map", SCRIPTS, found), encoding="utf-8")
    window.open(path, "#facet=classes")
    assert window.run("return document.getElementById('title').textContent") == HOSTILE
    assert HOSTILE in window.run("return document.getElementById('chosen').textContent")
    frame = pd.DataFrame({HOSTILE: [1.0, 2.0], "image": [2.0, 1.0], "title": [HOSTILE, "x"]})
    picture = Front(frame, np.array([True, True]), (HOSTILE, "image"), (), (), HOSTILE)
    (tmp_path / "front.html").write_text(front_page(picture), encoding="utf-8")
    window.open(tmp_path / "front.html")
    scene = window.run(SCENE, "#chart")
    place, x, y = scene["symbols"][0]
    canvas, dx, dy = at(window, x, y)
    ActionChains(window.driver).move_to_element_with_offset(canvas, dx, dy).click().perform()
    window.wait("!document.getElementById('tip').hidden")
    assert HOSTILE in window.run("return document.getElementById('tip').textContent")
    window.wait("document.querySelector('.rows [aria-selected=true]')")
    assert window.run("return document.querySelectorAll('img, iframe').length") == 0
    assert window.run("return window.hacked ?? null") is None
    assert window.said() == []
