"""The page as a whole: well-formed, complete, safe, alone, and the same each time."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from flawmap.errors import FlawmapError
from flawmap.evaluation.report import ImageRow, ReportData, render_report, write_report

from .samples import METRICS, make_data, panel, row

VOID = {"img", "meta", "br"}
HOSTILE = "x/<script>alert(1)</script>\"'&<b>.png"


class Outline(HTMLParser):
    """Tags with their attributes and the text outside scripts; refuses tags out of balance."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words).replace("\u00a0", " ")

    def count(self, tag: str) -> int:
        return sum(1 for name, _ in self.tags if name == tag)


def test_balanced_complete_and_in_order() -> None:
    page = Outline(render_report(make_data()))
    ids = [given["id"] for name, given in page.tags if name == "section"]
    assert ids[:5] == ["verdict", "metrics", "scores", "curves", "types"]
    assert ids[5:] == ["gallery", "images", "training", "configuration"]
    for word in ("Bottle caps", "DeSTSeg, preset fast", "At most 1 % of good parts", "9.8.7"):
        assert word in page.text
    assert '"rate": 0.002' in page.text
    assert page.count("img") == 6


def test_headline_counts_in_words() -> None:
    text = Outline(render_report(make_data())).text
    assert "1 of 3 passed (33.3 %)" in text
    assert "2 of 3 caught (66.7 %)" in text
    assert "33.3 % were missed" in text


@pytest.mark.parametrize("key", [key for key in METRICS if key not in ("images", "seconds")])
def test_every_metric_is_shown_or_its_absence_explained(key: str) -> None:
    value = METRICS[key]
    shown = f"{value:.3f}" if isinstance(value, float) else str(value)
    assert shown in metric_text(make_data(), key)
    without = make_data(metrics={**METRICS, key: None}, notes={key: "no masks at all"})
    assert "—" in metric_text(without, key)
    assert "no masks at all" in metric_text(without, key)
    assert shown not in metric_text(without, key)


def test_images_and_seconds() -> None:
    assert "23" in metric_text(make_data(), "images")
    assert "4.2 s" in metric_text(make_data(), "seconds")


def metric_text(data: ReportData, key: str) -> str:
    """Text of the card or fact of one metric."""
    page = render_report(data)
    start = page.index(f'data-metric="{key}"')
    end = re.compile("data-metric=|</section>").search(page, start + 10)
    assert end is not None
    return re.sub("<[^>]*>", " ", page[start : end.start()])


def test_names_cannot_become_markup() -> None:
    hostile = row(HOSTILE, "defective", 0.1, defect_type=HOSTILE)
    lost = row("lost.png", "good", 0.0, error=HOSTILE)
    data = make_data(
        rows=[hostile, lost],
        panels=[panel(hostile)],
        title=HOSTILE,
        product=HOSTILE,
        guarantee=HOSTILE,
        warnings=[HOSTILE],
        notes={"iap": HOSTILE},
        metrics={**METRICS, "iap": None},
        versions={HOSTILE: HOSTILE},
        configuration={HOSTILE: [HOSTILE]},
        training_log=[{"step": 1, "phase": HOSTILE, "loss": 1.0}],
    )
    page = Outline(render_report(data))
    assert page.count("script") == 1
    assert page.count("b") == 3  # the three thresholds
    assert page.text.count("<script>alert(1)</script>") >= 12


def test_nothing_is_loaded_from_anywhere() -> None:
    raw = render_report(make_data())
    page = Outline(raw)
    sources = [v for _, given in page.tags for k, v in given.items() if k in ("src", "href")]
    assert len(sources) == 6
    assert all(v and v.startswith("data:image/") for v in sources)
    assert "://" not in raw
    assert "url(" not in raw
    assert "@import" not in raw
    policy = next(given["content"] for _, given in page.tags if "http-equiv" in given)
    assert policy is not None
    assert "default-src 'none'" in policy


def test_same_data_same_bytes(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, make_data())
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert render_report(make_data(title="other")) != render_report(make_data())


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.html"
    write_report(target, make_data())
    before = target.read_bytes()
    with pytest.raises(KeyError):
        write_report(target, make_data(thresholds={}))
    assert target.read_bytes() == before
    assert [p.name for p in target.parent.iterdir()] == ["report.html"]
    (tmp_path / "new" / "folder").mkdir()
    with pytest.raises(FlawmapError, match=r"Cannot write .*folder"):
        write_report(tmp_path / "new" / "folder", make_data())
    assert sorted(p.name for p in target.parent.iterdir()) == ["folder", "report.html"]


def test_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", make_data(rows=[row("bad\udcff\x07.png", "good", 0.1)]))
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "bad\\udcff\ufffd.png" in text


def test_warnings_come_first_and_count_unreadable_images() -> None:
    assert Outline(render_report(make_data())).count("aside") == 0
    rows = [row("x.png", "good", 0.1), row("y.png", "good", 0.0, error="truncated file")]
    raw = render_report(make_data(rows=rows, panels=[], warnings=["Few images."]))
    assert raw.index("Few images.") < raw.index("1 of 1 passed")
    assert "1 image could not be inspected" in raw
    assert "truncated file" in raw


def only_good(count: int) -> list[ImageRow]:
    return [row(f"g{i}.png", "good", i / count / 3) for i in range(count)]


EDGES = {
    "only good": {"rows": only_good(5), "curves": {}},
    "only defective": {"rows": [row("d.png", "defective", 0.9)]},
    "one image": {"rows": only_good(1), "panels": [], "curves": {}, "training_log": []},
    "no image": {"rows": [], "panels": [], "curves": {}},
    "all unreadable": {"rows": [row("x", "good", float("nan"), error="empty")], "panels": []},
    "no mask": {"panels": [panel(row("d.png", "defective", 0.2), masked=False)]},
    "one pixel": {"panels": [panel(row("d.png", "defective", 0.9), 1, 1)]},
    "long strip": {"panels": [panel(row("d.png", "defective", 0.9), 2, 900)]},
    "one curve": {"curves": {"pixel_pr": (np.array([0.0, 1.0]), np.array([1.0, 0.1]))}},
    "nothing measured": {"metrics": {}},
    "metrics not finite": {"metrics": dict.fromkeys(METRICS, float("nan"))},
    "equal thresholds": {"thresholds": {"review": 0.5, "reject": 0.5, "pixel": 0.5}},
    "thresholds of zero": {"thresholds": {"review": 0.0, "reject": 0.0, "pixel": 0.0}},
    "negative scores": {"rows": [row("a", "good", -3.0), row("b", "defective", 90.0)]},
    "wide scores": {"rows": [row("a", "good", 0.0), row("b", "good", 1e-6)]},
    "log without losses": {"training_log": [{"event": "saved"}, {"step": 3, "loss": float("nan")}]},
    "log of one line": {"training_log": [{"step": 3, "loss": 0.0}]},
}


@pytest.mark.parametrize("changes", EDGES.values(), ids=EDGES.keys())
def test_edges_give_a_whole_page_without_nan(changes) -> None:
    page = Outline(render_report(make_data(**changes)))
    assert {"metrics", "images", "configuration"} <= {given.get("id") for _, given in page.tags}
    shown = page.text + str([given for name, given in page.tags if name != "img"])
    assert not re.search(r"\b(nan|inf)\b", shown, re.IGNORECASE)


def test_only_good_says_that_recall_is_unknown() -> None:
    text = Outline(render_report(make_data(**EDGES["only good"]))).text
    assert "nothing says how many are caught" in text
    assert "5 of 5 passed (100 %)" in text


def test_two_thousand_rows_and_long_curves_stay_small() -> None:
    curves = {key: (np.linspace(0, 1, 100_000),) * 2 for key in ("image_roc", "pixel_pr")}
    log = [{"step": i, "phase": "student", "loss": 1.0 + i % 7} for i in range(20_000)]
    raw = render_report(make_data(rows=only_good(2000), curves=curves, training_log=log))
    assert raw.count("<tr") > 2000
    assert len(raw) < 1_000_000
