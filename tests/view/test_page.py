"""The page in a real browser: it works alone, its arithmetic is Python's, keys and screen readers are served.

Scripts are added to the pages of traces, headless Chromium runs them all one after the other, and the tests read
what they return. Without Chromium (Debian's package ``chromium``) these tests are skipped.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.view.functions import POINTS, REFEREES, batch, branches, nested, network
from tests.view.test_graph import loop

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

HELPERS = """
const all = (q) => [...document.querySelectorAll(q)];
const text = (q) => document.querySelector(q).textContent;
const key = (k, target = document.body) => target.dispatchEvent(new KeyboardEvent("keydown", {key: k, bubbles: true}));
const type = (k, value) => { const field = all("#inputs input")[k]; field.value = value;
  field.dispatchEvent(new Event("input")); };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
"""


# What is run in the page of which trace: name -> (trace, body of an asynchronous function).
JOBS: dict[str, tuple[Callable[[], Any], str]] = {}


def job(name: str, trace: Callable[[], Any], script: str) -> None:
    assert name not in JOBS
    JOBS[name] = (trace, script)


COLLECT = """<!DOCTYPE html><meta charset="utf-8"><pre id="result"></pre><script>
const names = NAMES, found = {};
addEventListener("message", (event) => { found[event.data.name] = event.data; next(); });
function next() {
  document.querySelector("iframe")?.remove();
  const name = names.shift();
  if (!name) return void (document.getElementById("result").textContent = JSON.stringify(found));
  const frame = document.createElement("iframe");
  frame.width = 1400; frame.height = 900; frame.src = `${name}.html`;
  document.body.append(frame);
}
next();
</script>"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What all scripts have returned, from one run of the browser."""
    folder = tmp_path_factory.mktemp("pages")
    for k, (trace, script) in enumerate(JOBS.values()):
        run = (
            "<script>(async () => { let found; try { found = await (async () => {" + script + "})(); }"
            "catch (error) { errors.push(String(error)); }"
            f"parent.postMessage({{name: 'p{k}', found, errors}}, '*'); }})();</script>"
        )
        page = (
            trace().to_html().replace("<head>", f"<head><script>{HELPERS}</script>").replace("</body>", f"{run}</body>")
        )
        (folder / f"p{k}.html").write_text(page, encoding="utf-8")
    names = json.dumps([f"p{k}" for k in range(len(JOBS))])
    (folder / "index.html").write_text(COLLECT.replace("NAMES", names), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1500,1000", "--virtual-time-budget=60000"]
    command = [
        CHROMIUM,
        *flags,
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
        (folder / "index.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    text = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.S)
    assert text, done.stderr[-2000:]
    assert text[1], done.stderr[-2000:]
    found = json.loads(html.unescape(text[1]))
    return {name: found[f"p{k}"] for k, name in enumerate(JOBS)}


def result(results: dict[str, Any], name: str) -> Any:
    assert results[name]["errors"] == []
    return results[name]["found"]


def traced(f: Any) -> Any:
    return cr.trace(f, *POINTS[f])


# -- the file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trace",
    [
        lambda: traced(nested),
        lambda: cr.trace(network, *batch(), argnums=(0, 1, 2, 3)),
        lambda: cr.trace(loop, 0.5, 2500, argnums=0),
    ],
    ids=["numbers", "arrays", "ten thousand operations"],
)
def test_one_file_without_a_network(trace: Any) -> None:
    page = trace().to_html()
    assert len(page.encode()) < 1_500_000
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page)
    assert not re.findall(r"@import|url\((?!#)", page)
    assert set(re.findall(r"https?://[^\"'\s<]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "@@" not in page


def test_written_to_a_path(tmp_path: Path) -> None:
    trace = traced(nested)
    assert trace.to_html(tmp_path / "trace.html") == (tmp_path / "trace.html").read_text(encoding="utf-8")


def test_a_program_cannot_break_out_of_its_data() -> None:
    def f(x: Any) -> Any:
        return x * len("</script><script>alert(1)</script>")

    page = cr.trace(f, 1.0).to_html()
    assert page.count("</script>") == 2


# -- in the browser -----------------------------------------------------------------------------------


MOVED = {f: [x * 1.01 for x in POINTS[f]] for f in POINTS}
for _f, _point in MOVED.items():
    _typed = "".join(f"type({k}, {x!r});" for k, x in enumerate(_point))
    job(_f.__name__, lambda f=_f: traced(f), _typed + "return {...window.chainrule, warning: text('#warning')};")


@browser
@pytest.mark.parametrize("f", list(POINTS), ids=lambda f: f.__name__)
def test_the_pages_arithmetic_is_pythons(f: Any, results: Any) -> None:
    """At other inputs on the same path, values, tangents and adjoints are those of a new trace."""
    point, found = MOVED[f], result(results, f.__name__)
    assert found["warning"] == ""
    again, forward = cr.trace(f, *point), cr.trace(f, *point, mode="forward")
    for row in forward.rows:
        if not isinstance(row.label, str) and row.kind != "decision":
            name = f"v{row.label.index}"
            assert found["values"][name] == pytest.approx(row.value, rel=1e-14)
            assert found["tangents"][name] == pytest.approx(row.tangent, rel=1e-13, abs=1e-15)
            slot = again.formulae.slot(row.label)
            assert found["adjoints"][name] == pytest.approx(again.adjoints[slot], rel=1e-13)
    assert found["values"]["y0"] == pytest.approx(float(REFEREES[f](*point)), rel=1e-14)


def many(x: Any, y: Any) -> Any:
    a = np.maximum(x, y) + np.minimum(x * y, y) + abs(x - y) + np.hypot(x, y) + np.arctan2(y, x)
    b = np.log1p(x) + np.expm1(y) + np.cosh(x) * np.tanh(y) + x**y + y**-1.5 + np.sign(x) * np.floor(3 * y)
    return a * np.where(x > y, a, b) + np.exp(-b / 20) + np.cbrt(x) + np.log10(y) + np.logaddexp(x, y) + np.square(a)


job(
    "every_function_of_the_page_is_pythons",
    lambda: cr.trace(many, 0.7, 0.4),
    "type(0, 0.72); type(1, 0.41); return window.chainrule;",
)


@browser
def test_every_function_of_the_page_is_pythons(results: Any) -> None:
    found = result(results, "every_function_of_the_page_is_pythons")
    assert found["values"]["y0"] == pytest.approx(many(0.72, 0.41), rel=1e-13)
    want = cr.grad(many, (0, 1))(0.72, 0.41)
    assert [found["adjoints"][k] for k in ("v-1", "v0")] == pytest.approx(list(want), rel=1e-12)


job(
    "another_path_is_announced",
    lambda: traced(branches),
    """const before = document.querySelector("#warning").hidden; type(0, 3); const other = text("#warning");
        all("#inputs button")[0].click(); const reset = document.querySelector("#warning").hidden;
        type(0, ""); return {before, other, reset, empty: text("#warning")};""",
)


@browser
def test_another_path_is_announced(results: Any) -> None:
    found = result(results, "another_path_is_announced")
    assert found["before"]
    assert "v₋₁ > v₀ was false" in found["other"]
    assert found["reset"]
    assert found["empty"] == "Each input needs a number."


job(
    "headings_and_edges_follow_the_inputs",
    lambda: traced(nested),
    """const edge = () => text('.tag[data-from=v2][data-to=v3] text'); const before = [text("h1"), edge()];
        type(0, 1.7); return {before, after: [text("h1"), edge()]};""",
)


@browser
def test_headings_and_edges_follow_the_inputs(results: Any) -> None:
    found = result(results, "headings_and_edges_follow_the_inputs")
    assert found["before"] == ["nested(x1, x2) at x1 = 2, x2 = 1", "−v₋₁/v₂² = -2.82457"]
    assert found["after"] == ["nested(x1, x2) at x1 = 1.7, x2 = 1", "−v₋₁/v₂² = -2.40088"]


job(
    "a_rule_with_cases_recomputes_its_number",
    lambda: cr.trace(lambda x, y: np.maximum(x, y) * 3.0, 2.0, 1.0),
    "type(1, 5); return {...window.chainrule, warning: text('#warning'), sweep: text('#sweep tbody')};",
)


@browser
def test_a_rule_with_cases_recomputes_its_number(results: Any) -> None:
    found = result(results, "a_rule_with_cases_recomputes_its_number")
    assert (found["adjoints"]["v-1"], found["adjoints"]["v0"]) == (0, 3)
    assert "another case" in found["warning"]
    assert "∂v₁/∂v₀ = 1" in found["sweep"]


job(
    "stepping_by_keys",
    lambda: traced(nested),
    """const at = () => [text("#now"), Number(document.querySelector("#position").value)];
        const seen = {end: at()};
        key("Home"); seen.start = at(); seen.hidden = all("#rows .number.veiled").length;
        key("ArrowRight"); seen.first = at();
        for (let k = 0; k < 4; k++) key("ArrowRight");
        seen.fifth = at(); seen.node = document.querySelector(".node.now").dataset.key;
        key("ArrowLeft"); seen.back = at();
        key("2"); seen.tangent = at(); key("3"); seen.adjoint = at();
        key("ArrowRight"); seen.addition = at();
        seen.edge = all(".edge.now").map((e) => [e.dataset.from, e.dataset.to]);
        seen.phase = document.querySelector("[data-phase=adjoint]").getAttribute("aria-pressed");
        key("End"); seen.last = at(); return seen;""",
)


@browser
def test_stepping_by_keys(results: Any) -> None:
    found = result(results, "stepping_by_keys")
    assert found["end"] == found["last"] == ["All three sweeps are shown.", 27]
    assert found["start"][1] == 0
    assert found["hidden"] == 18
    assert found["first"] == ["v₋₁ = x1 = 2", 1]
    assert found["fifth"][0].startswith("v₃ = v₋₁/v₂ = 2.37679")
    assert found["node"] == "v3"
    assert found["back"][1] == 4
    assert found["tangent"] == ["tangent of v₋₁ = 1", 10]
    assert found["adjoint"][0].startswith("v̄₆ += ȳ → adds 1")
    assert found["addition"][0].startswith("v̄₋₁ += v̄₆·v₅ → adds 0.930457")
    assert found["edge"] == [["v-1", "v6"]]
    assert found["phase"] == "true"


job(
    "playing",
    lambda: traced(nested),
    """const at = () => Number(document.querySelector("#position").value);
        key(" "); const started = at(); await wait(5000); const going = at(); key(" "); await wait(3000);
        return {started, going, paused: at(), label: text("#play")};""",
)


@browser
def test_playing(results: Any) -> None:
    found = result(results, "playing")
    assert found["started"] == 0
    assert 3 <= found["going"] == found["paused"] < 27
    assert "Play" in found["label"]


job(
    "a_click_shows_rule_and_line",
    lambda: traced(nested),
    """document.querySelector('[data-key=v3].node').dispatchEvent(new MouseEvent("click"));
        const clicked = text("#details"); const line = text("#details .here");
        key("Enter", document.querySelector('[data-key=v1].node')); const entered = text("#details h2");
        all("#rows tbody tr")[4].click(); const row = text("#details h2");
        return {clicked, line, entered, row, picked: document.querySelector(".node.picked").dataset.key};""",
)


@browser
def test_a_click_shows_rule_and_line(results: Any) -> None:
    found = result(results, "a_click_shows_rule_and_line")
    assert "Rule of divide" in found["clicked"]
    assert "∂v₃/∂v₂ = −v₋₁/v₂² = -2.82457" in found["clicked"]
    assert found["line"].endswith("return x1 * np.sqrt(np.log(x1 / np.sin(x2**2)))")
    assert found["entered"].startswith("v₁ = v₀²")
    assert found["row"].startswith("v₃ = ")
    assert found["picked"] == "v3"


job(
    "hovering_an_edge_shows_its_partial",
    lambda: traced(nested),
    """const edge = document.querySelector('[data-from=v2][data-to=v3]');
        edge.dispatchEvent(new MouseEvent("mousemove", {clientX: 200, clientY: 200}));
        const shown = [text("#tip"), document.querySelector("#tip").hidden];
        edge.dispatchEvent(new MouseEvent("mouseleave"));
        return {shown, gone: document.querySelector("#tip").hidden};""",
)


@browser
def test_hovering_an_edge_shows_its_partial(results: Any) -> None:
    found = result(results, "hovering_an_edge_shows_its_partial")
    assert found == {"shown": ["∂v₃/∂v₂ = −v₋₁/v₂² = -2.82457", False], "gone": True}


job(
    "for_screen_readers_and_keyboards",
    lambda: traced(nested),
    """const nameless = all("button, input, select, [role=button], [role=img]").filter((e) =>
          !(e.getAttribute("aria-label") || e.textContent.trim() || e.closest("label"))).length;
        const small = all("button").filter((b) => b.getBoundingClientRect().height < 24).length;
        const reachable = all(".node").every((n) => n.tabIndex === 0) && all(".edge").every((n) => n.tabIndex === 0);
        return {nameless, small, reachable, live: all("[aria-live], [role=status], [role=alert]").length,
          heads: all("th").every((h) => h.scope === "col"), captions: all("table caption").length,
          lang: document.documentElement.lang, node: document.querySelector(".node").getAttribute("aria-label")};""",
)


@browser
def test_for_screen_readers_and_keyboards(results: Any) -> None:
    found = result(results, "for_screen_readers_and_keyboards")
    assert found["nameless"] == 0
    assert found["small"] == 0
    assert found["reachable"]
    assert found["live"] >= 3
    assert found["heads"]
    assert found["captions"] == 2
    assert found["lang"] == "en"
    assert found["node"] == "v₋₁ = x1, value 2"


CONTRAST = """
const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((x) => x / 255)
  .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!/rgba\\(0, 0, 0, 0\\)/.test(c)) return c; } };
const worst = Math.min(...all("h1, p, td, th, button, label, dd, dt, li").filter((e) => e.textContent.trim())
  .map((e) => ratio(getComputedStyle(e).color, behind(e))));
const node = document.querySelector(".node.operation");
const fill = (part) => getComputedStyle(node.querySelector(part)).fill;
const drawn = ratio(fill("text"), fill("rect"));
return {worst, drawn, theme: document.documentElement.dataset.theme};
"""


job("light", lambda: traced(nested), CONTRAST)
job("dark", lambda: traced(nested), 'document.querySelector("#theme").click();' + CONTRAST)


@browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_read(theme: str, results: Any) -> None:
    found = result(results, theme)
    assert found["theme"] == theme
    assert found["worst"] >= 4.5
    assert found["drawn"] >= 7


FIXED = {
    "only functions of real numbers": lambda: cr.trace(network, *batch(), argnums=(0, 1, 2, 3)),
    "parts of this trace are folded": lambda: cr.trace(loop, 0.5, 2500, argnums=0),
    "the function differentiates inside": lambda: cr.trace(lambda x: cr.grad(np.sin)(x), 1.0),
    "the page does not evaluate": lambda: cr.trace(lambda x: np.sinc(x) * np.spacing(x), 1.5),
    "an input is not finite": lambda: cr.trace(lambda x: 1.0 / x, np.inf),
}
for _reason, _trace in FIXED.items():
    job(
        _reason,
        _trace,
        """key("Home"); for (let k = 0; k < 400; k++) key("ArrowRight");
        return {note: text("#inputs"), now: text("#now"), fields: all("#inputs input").length};""",
    )


@browser
@pytest.mark.parametrize("reason", FIXED)
def test_what_is_not_recomputed_says_so(reason: str, results: Any) -> None:
    found = result(results, reason)
    assert reason in found["note"]
    assert found["fields"] == 0
    assert found["now"]
