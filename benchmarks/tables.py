"""Write the tables made from ``benchmarks/results`` between the markers in README and docs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import defect_tables
import line_tables
from record import RESULTS, ROOT

from flawmap.benchmark.comparison import Comparison, compare
from flawmap.benchmark.protocol import DECIDING
from flawmap.benchmark.table import read_results
from flawmap.benchmark.table import render as bench_table
from flawmap.evaluation.metrics.catalogue import METRICS, compared_metrics

README = ROOT / "README.md"
ABLATIONS = ROOT / "docs" / "ablations.md"
DEFECTS = ROOT / "docs" / "learn-from-defects.md"
FAST = ROOT / "docs" / "fast.md"
LINE = ROOT / "docs" / "line.md"
MANY = ROOT / "docs" / "million-images.md"
MEMORY = ROOT / "docs" / "memory.md"
METRICS_PAGE = ROOT / "docs" / "metrics.md"
RESULTS_PAGE = ROOT / "docs" / "results.md"
SUITE = ROOT / "docs" / "suite.md"
SYNTHESIS = ROOT / "docs" / "synthesis.md"
_GUIDED = ("pixel_ap", "iap", "image_auroc", "pro", "iap90")  # the order of docs/fast.md
BEGIN, END = "<!-- results: made by benchmarks/tables.py -->\n", "<!-- end of results -->"


def render_brief() -> str:
    """Render the suite's main metrics beside those of a plain nearest-neighbour memory."""
    plain = _load("plain_memory")
    assert plain is not None
    lines = [
        "| product | image AUROC | pixel AP | instance AP | plain memory | training |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in sorted(_by_product("destseg-fast-pocket").items()):
        alone = [one["figures"] for one in plain["runs"] if one["category"] == name]
        cells = [_spread([run["figures"][key] for run in runs]) for key in DECIDING]
        others = ", ".join(f"{fmean(run[key] for run in alone):.3f}" for key in DECIDING)
        minutes = fmean(run["seconds"]["train"] for run in runs) / 60
        star = r"\*" if name == "toothbrush" else ""
        cores = runs[0]["hardware"]["cores"]
        lines.append(
            f"| {name}{star} | {' | '.join(cells)} | {others} | {minutes:.0f} min on {cores} core"
            f"{'s' if cores > 1 else ''} |"
        )
    return "\n".join(lines) + "\n"


def _by_product(kind: str) -> dict[str, list[dict[str, Any]]]:
    """Return the results of all seeds, by product."""
    by_product: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob(f"*-{kind}-[0-9].json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        by_product.setdefault(record["category"], []).append(record)
    return by_product


def _spread(values: list[float]) -> str:
    return f"{fmean(values):.3f} ± {stdev(values):.3f}"


def render() -> str:
    """Render the results section."""
    records = read_results(RESULTS)
    return "\n".join([bench_table(records), *_parity(records), *_rest(), ""])


def render_ablations() -> str:
    """Render the ablations' results, whose files have a separate folder."""
    return bench_table(read_results(RESULTS / "ablation")) + "\n"


def render_guidance() -> str:
    """Render means over seeds of kept trainings, with blurred and guided maps."""
    result = _load("guidance")
    assert result is not None
    ways = list(result["read_outs"])
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in result["runs"]:
        groups.setdefault((run["category"], run["teacher"]), []).append(run["figures"])
    lines = [f"| DeSTSeg `fast` | seeds | {' | '.join(ways)} |", "|---|---|" + "---|" * len(ways)]
    for (category, teacher), runs in sorted(groups.items()):
        cells = [
            ", ".join(f"{fmean(run[way][key] for run in runs):.3f}" for key in _GUIDED)
            for way in ways
        ]
        name = category + (r"\*" if category == "toothbrush" else "")
        lines.append(f"| {name}, {teacher} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def render_line() -> str:
    """Render latency, throughput, parity, INT8 and peers."""
    return line_tables.render(_load)


def render_suite() -> str:
    """Render the suite before and after today's default read-out, beside a plain memory."""
    comparison = compare(RESULTS / "suite" / "before", RESULTS / "*-destseg-fast-pocket-*")
    rows = _before_after(comparison)
    plain = _load("plain_memory")
    assert plain is not None
    lines = [
        f"| DeSTSeg `fast`, `pocket` | seeds | {_heads()} | plain memory |",
        "|---|---|" + "---|" * (len(compared_metrics()) + 1),
    ]
    for product, row in zip(comparison.products, rows, strict=True):
        runs = [one["figures"] for one in plain["runs"] if one["category"] == product.name]
        alone = ", ".join(f"{fmean(run[key] for run in runs):.3f}" for key in DECIDING)
        lines.append(f"{row} {alone} |")
    means = [_signed(comparison.mean[m.key].difference) for m in compared_metrics()]
    lines.append(f"| mean of the differences |  | {' | '.join(means)} |  |")
    return "\n".join(lines) + "\n"


def render_memory() -> str:
    """Render DeSTSeg without and with a memory, by product."""
    lines = [
        f"| DeSTSeg `fast`, `pocket` | seeds | {_heads()} |",
        "|---|---|" + "---|" * len(compared_metrics()),
    ]
    comparison = compare(RESULTS / "suite" / "levelled", RESULTS / "*-destseg-fast-pocket-*")
    return "\n".join([*lines, *_before_after(comparison)]) + "\n"


def _heads() -> str:
    return " | ".join(metric.head for metric in compared_metrics())


def _before_after(comparison: Comparison) -> list[str]:
    rows = []
    for product in comparison.products:
        differences = comparison.differences[product.name]
        cells = [
            f"{differences[key].a:.3f} → {differences[key].b:.3f}"
            if differences[key].difference is not None
            else "–"
            for key in (metric.key for metric in compared_metrics())
        ]
        name = product.name + (r"\*" if product.name.endswith("toothbrush") else "")
        rows.append(f"| {name} | {product.seeds} | {' | '.join(cells)} |")
    return rows


def _signed(difference: float | None) -> str:
    return "–" if difference is None else f"{difference:+.3f}"


def render_families() -> str:
    """Render the effect of each family of synthetic anomalies, by product."""
    products: dict[str, dict[str, dict[str, Any]]] = {}
    for record in read_results(RESULTS / "families"):
        own = products.setdefault(record["category"], {})
        own[record["variant"]] = record["figures"]
    variants = sorted({variant for own in products.values() for variant in own})
    variants.sort(key="base".__ne__)  # the reference comes first
    names = [name + (r"\*" if name == "toothbrush" else "") for name in products]
    lines = [f"| anomalies | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for variant in variants:
        cells = [
            ", ".join(f"{own[variant][key]:.3f}" for key in DECIDING) if variant in own else "–"
            for own in products.values()
        ]
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def render_metrics() -> str:
    """Render the catalogue of metrics."""
    lines = ["| metric | key | level | what it says | better |", "|---|---|---|---|---|"]
    for key, metric in METRICS.items():
        says = (metric.explanation or metric.meaning).replace("{share}", "")
        better = "higher" if metric.higher_is_better else "lower"
        lines.append(f"| {metric.name} | `{key}` | {metric.level} | {says} | {better} |")
    return "\n".join(lines) + "\n"


def render_many() -> str:
    """Write images per second of ``predict`` by threads, processes and a Ray cluster."""
    result = _load("many")
    if result is None:
        return ""
    rows = [
        [way, f"{one['images_per_s']:.1f}", f"{one['start_seconds']:.1f} s"]
        for way, one in result["ways"].items()
    ]
    equal = all(result["records_equal_to_processes"].values())
    runs = len(next(iter(result["ways"].values()))["all_images_per_s"])
    lines = [
        "| way, side of the PNG files | images/s | start |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        f"Medians of {runs} runs that alternate, on {result['cores']} cores",
        f"({result['hardware']['processor']}); from the first record to the last. All records",
        f"{'are equal' if equal else 'differ'}, also with a node killed half-way.",
    ]
    return "\n".join(lines) + "\n"


def _load(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _parity(records: list[dict[str, Any]]) -> list[str]:
    worst: dict[str, float] = {}
    measured = [record for record in records if "parity" in record]
    for record in measured:
        size = "x".join(map(str, record["configuration"]["size"]))
        parity = record["parity"]
        worst[size] = max(worst.get(size, 0.0), parity["map"], parity["score"])
    if not worst:
        return []
    largest = ", ".join(f"{value:.0e} at {size}" for size, value in sorted(worst.items()))
    return [
        f"- ONNX Runtime against torch, {len(measured)} inspectors on "
        f"{measured[0]['parity']['images']} held-out images each: map and score differ by "
        f"{largest} at most."
    ]


def _rest() -> list[str]:
    lines = []
    if demo := _load("demo"):
        values, seconds = demo["figures"], demo["seconds"]
        lines.append(
            f"- `make demo`: training {seconds['train']:.0f} s; image AUROC "
            f"{values['image_auroc']:.3f}, pixel AP {values['pixel_ap']:.3f}."
        )
    if resume := _load("resume"):
        same = "bit-identical" if all(resume["bit_identical"].values()) else "NOT identical"
        steps = ", ".join(str(s) for s in resume["killed_after_step"])
        lines.append(f"- `kill -9` after steps {steps} and `--resume`: final weights {same}.")
    if torture := _load("torture"):
        kills = torture["kills"]
        methods = ", ".join(dict.fromkeys(f"`{kill['method']}`" for kill in kills))
        lines.append(
            f"- `kill -9` at {len(kills)} random moments ({methods}; `make torture`), each run "
            f"resumed: {torture['bit_identical']} of {len(kills)} ended bit-identical."
        )
    if squashed := read_results(RESULTS / "squashed"):
        lines.append(_squashed(squashed))
    if before := read_results(RESULTS / "bf16_adps" / "before"):
        lines.append(_bf16(before, read_results(RESULTS / "bf16_adps" / "after")))
    if fuzz := _load("fuzz"):
        lines.append(_fuzz(fuzz))
    if determinism := _load("determinism"):
        lines.append(_determinism(determinism))
    if promises := _load("promises"):
        rates = [rate for run in promises["runs"] for rate in run["rates"]]
        excess = max(rate["observed_mean"] - rate["promised"] for rate in rates)
        held = [rate["splits_within_bound"] for rate in rates]
        lines.append(
            f"- False rejects, {len(promises['runs'])} inspectors, 1 % and 5 % requested, "
            f"{promises['splits']} random splits of good images each: observed on average "
            f"{excess:+.1%} at most above the promise (Monte Carlo error up to "
            f"{max(rate['monte_carlo_error'] for rate in rates):.1%}); the bound stated with 95 % "
            f"confidence held in {min(held):.1%} to {max(held):.1%} of the splits."
        )
    if tiling := _load("tiling"):
        lines.append(_tiling(tiling))
    if install := _load("install"):
        lines.append(
            f"- Base install: {install['package_count']} packages, {install['download_mb']} MB to "
            f"download, {install['installed_mb']} MB on disk, no torch; `flawmap --help` "
            f"{install['help_seconds']:.2f} s, "
            f"`import flawmap` {install['import_flawmap_seconds']:.2f} s."
        )
    if metrics := _load("metrics"):
        worst = max(metrics["difference"].values())
        lines.append(
            f"- All metrics of {metrics['maps']} maps at 256²: {metrics['seconds_median']:.2f} s, "
            f"within {worst:.0e} of scikit-learn."
        )
    if synthesis := _load("synthesis"):
        pocket = synthesis["pocket"]
        lines.append(
            f"- Synthesis: {pocket['synthesis_images_per_s']:.0f} images/s, "
            f"{pocket['synthesis_share_of_step']:.1%} of training with `pocket`."
        )
    if speed := _load("speed"):
        ratios = "; ".join(f"{name} {ratio:.1f}" for name, ratio in speed["speed_up"].items())
        lines.append(
            f"- Training speed-up (images per second) over a plain transcription of the published "
            f"step (`benchmarks/baseline.py`, batch {speed['batch']}), in one run: {ratios}."
        )
    return lines


def _tiling(result: dict[str, Any]) -> str:
    height, width = result["photograph"]
    memory = "; ".join(
        f"{row['tile']}², {row['windows']} tiles: {row['inspect']['seconds']:.1f} s, "
        f"{max(row['inspect']['peak_mb'], row['predict']['peak_mb'])} MB with images written"
        for row in result["memory"]
    )
    one = max(seams["one_tile_max"] for seams in result["seams"])
    return (
        f"- {width}x{height} in tiles of {memory}. An image of one tile differs by {one:g} "
        "from a single pass. Smaller tiles see less of their surroundings: "
        + "; ".join(map(_seams, result["seams"]))
        + "."
    )


def _seams(seams: dict[str, Any]) -> str:
    """Describe differences from the single pass: no overlap, the usual one, the largest."""
    rows = seams["overlaps"]
    differences = ", ".join(
        f"{row['mean']:.4f} ({row['max']:.2f}) at {row['overlap']}"
        for row in (rows[0], rows[len(rows) // 2], rows[-1])
    )
    return (
        f"{seams['tile']}² in {seams['photograph'][0]}² differ on average (at most) by "
        f"{differences} pixels of overlap, in maps of mean (at most) {seams['map_mean']:.4f} "
        f"({seams['map_max']:.2f})"
    )


def _squashed(records: list[dict[str, Any]]) -> str:
    """Describe KolektorSDD in its own shape and squashed, both without levelling."""
    (method,) = {record["method"] for record in records}
    own = read_results(RESULTS / "suite" / "before")
    shaped = [r for r in own if r["category"] == "kolektor_sdd" and r["method"] == method]
    shapes = []
    for runs in (shaped, records):
        size = "x".join(map(str, runs[0]["configuration"]["size"]))
        ap, auroc = (fmean(r["figures"][key] for r in runs) for key in ("pixel_ap", "image_auroc"))
        shapes.append(f"{size} {100 * ap:.1f} pixel AP and {100 * auroc:.1f} image AUROC")
    return (
        f"- KolektorSDD's tall images, `{method}`, {len(records)} seeds each: {shapes[0]}; "
        f"squashed to {shapes[1]} (both without levelling; pixel metrics each at its own size)."
    )


def _bf16(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> str:
    """Describe ADPS trained in bf16, with cosines in bf16 (before) and float32 (now)."""
    was, now = (
        f"{fmean(aps):.3f} ± {stdev(aps):.3f} pixel AP, image AUROC {fmean(aurocs):.3f}"
        for aps, aurocs in (
            [[run["figures"][key] for run in runs] for key in ("pixel_ap", "image_auroc")]
            for runs in (before, after)
        )
    )
    return (
        f"- ADPS `fast` trained in bf16 on toothbrush\\*, {len(after)} seeds: cosines computed in "
        f"bf16 gave {was}; in float32, as now with every precision, {now}."
    )


def _fuzz(result: dict[str, Any]) -> str:
    kinds = {"images": "mutated images", "artefacts": "mutated runs", "weights": "mutated weights"}
    counts = ", ".join(f"{result[kind]['cases']:,} {name}" for kind, name in kinds.items())
    findings = sum(len(result[kind]["findings"]) for kind in kinds)
    slowest = max(result[kind]["slowest"]["seconds"] or 0.0 for kind in kinds)
    largest = max(result[kind]["largest"]["megabytes"] or 0 for kind in kinds)
    return (
        f"- Hostile input (`benchmarks/fuzz.py`): {counts}; {findings} that crashed, hung, gave no "
        f"reason or took too much; the slowest {slowest:.1f} s, the largest {largest:.0f} MB."
    )


def _determinism(result: dict[str, Any]) -> str:
    training, inspecting = result["training"].values(), result["inspecting"].values()
    again = all(run["again"]["bit_identical"] for run in training)
    twice = all(one["again_bit_identical"] for one in inspecting)
    scores = max(run["on_one_thread"]["scores_max"] for run in training)
    alone = max(one["on_one_thread_score_max"] for one in inspecting)
    many, one = result["threads"]
    return (
        f"- The same seed on the same machine, all methods: weights and scores "
        f"{'bit-identical' if again else 'NOT identical'}, inspections "
        f"{'bit-identical' if twice else 'NOT identical'}. On {one} thread instead of {many}: "
        f"scores of inspectors trained so (for {result['steps']} steps) differ by {scores:.1g} at "
        f"most, scores of one inspector by {alone:.1g}."
    )


def main() -> None:
    """Rewrite the text between the markers of each page."""
    pages = {
        README: render_brief(),
        RESULTS_PAGE: render(),
        ABLATIONS: render_ablations(),
        DEFECTS: defect_tables.render(_load),
        FAST: render_guidance(),
        LINE: render_line(),
        MANY: render_many(),
        MEMORY: render_memory(),
        METRICS_PAGE: render_metrics(),
        SUITE: render_suite(),
        SYNTHESIS: render_families(),
    }
    for page, made in pages.items():
        _replace(page, made)


def _replace(page: Path, made: str) -> None:
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        sys.exit(f"{page.name} has no results section.")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.write_text(before + BEGIN + made + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
