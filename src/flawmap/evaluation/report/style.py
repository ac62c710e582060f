"""How the page looks, and the little script it can do without (sorting, enlarging)."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f7f8; --sheet: #ffffff; --ink: #1b2126; --quiet: #5d6871; --line: #dde2e6;
  --right: #2e7d5b; --doubt: #b97a12; --wrong: #bf3b32; --wash-right: #e4f2ea;
  --wash-doubt: #fbf0d9; --wash-wrong: #fbe6e3;
  --image: #1f6f9f; --pixel: #b3591c; --good: #6b9cb8; --defective: #cf6a4c;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #121619; --sheet: #1a2024; --ink: #e4e9ec; --quiet: #98a4ad; --line: #2d363c;
    --right: #5cbf92; --doubt: #e0a93f; --wrong: #ee7a6d; --wash-right: #17332a;
    --wash-doubt: #3a2e14; --wash-wrong: #40211e;
    --image: #62b3e0; --pixel: #e6975a; --good: #5c93b3; --defective: #d9795c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
.top, main { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
.top { padding-top: 36px; }
.kicker { margin: 0; color: var(--quiet); font-size: 13px; letter-spacing: .04em; }
h1 { margin: 2px 0 4px; font-size: 30px; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 12px; font-size: 20px; line-height: 1.3; }
h3 { margin: 20px 0 8px; font-size: 14px; font-weight: 600; color: var(--quiet); }
p { margin: 0 0 10px; }
.product { color: var(--quiet); margin-bottom: 20px; overflow-wrap: anywhere; }
.quiet, figcaption { color: var(--quiet); font-size: 13.5px; }
section {
  background: var(--sheet); border: 1px solid var(--line); border-radius: 10px;
  padding: 22px 24px; margin: 0 0 18px;
}
figure { margin: 0; min-width: 0; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 20px 32px; align-items: start; }
.two h3 { margin-top: 0; }

.warnings {
  border: 1px solid var(--doubt); border-left-width: 5px; border-radius: 8px;
  background: var(--wash-doubt); padding: 12px 18px; margin-bottom: 18px; overflow-wrap: anywhere;
}
.warnings ul { margin: 4px 0 0; padding-left: 20px; }

.verdicts { display: grid; grid-template-columns: 1fr 1fr; gap: 24px 40px; }
.verdict-block h2 { font-size: 14px; font-weight: 600; color: var(--quiet); margin: 0; }
.verdict-block p:last-child { margin: 10px 0 0; color: var(--quiet); font-size: 13.5px; }
.lead { font-size: 25px; font-weight: 650; line-height: 1.25; margin: 2px 0 12px; }
.bar-row {
  display: flex; gap: 2px; height: 14px; border-radius: 4px; overflow: hidden; margin-bottom: 8px;
}
.fill { min-width: 4px; }
.fill.right, .dot.right { background: var(--right); }
.fill.doubt, .dot.doubt { background: var(--doubt); }
.fill.wrong, .dot.wrong { background: var(--wrong); }
.keys { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 13.5px; }
.key { display: inline-flex; align-items: center; gap: 7px; }
.dot { width: 10px; height: 10px; border-radius: 3px; }
.stroke { width: 20px; height: 0; border-top: 3px solid; }
.stroke.image { border-color: var(--image); }
.stroke.pixel { border-color: var(--pixel); border-top-style: dashed; }
.swatch { width: 14px; height: 14px; border: 3px solid; border-radius: 3px; background: #3a3f44; }
.ramp { flex: none; display: inline-block; width: 120px; height: 12px; border-radius: 3px; }

.cards { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.card-name { font-weight: 600; font-size: 14px; }
.card-value { font-size: 28px; font-weight: 650; line-height: 1.25; }
.card p { margin: 6px 0 0; color: var(--quiet); font-size: 13.5px; line-height: 1.45; }
.card .reason { color: var(--ink); }
.facts { display: flex; flex-wrap: wrap; gap: 10px 36px; margin: 20px 0 0; }
dt { color: var(--quiet); font-size: 13px; }
dd { margin: 0; overflow-wrap: anywhere; }
.facts dd { font-weight: 600; }
.thresholds dt { margin-top: 10px; }
.thresholds dt::first-letter { text-transform: uppercase; }
.thresholds b { font-size: 19px; margin-right: 6px; }
.guarantee { border-left: 3px solid var(--image); padding-left: 14px; margin: 20px 0 0; }

.chart { display: block; width: 100%; height: auto; max-width: 540px; overflow: visible; }
.chart text { fill: var(--quiet); font-size: 12.5px; }
.chart .row-label {
  font-weight: 600; paint-order: stroke; stroke: var(--sheet); stroke-width: 5px;
}
.chart .mark-label { fill: var(--ink); font-weight: 600; }
.grid { stroke: var(--line); }
.axis { stroke: var(--quiet); }
.curve, .raw, .chance { fill: none; stroke-linejoin: round; }
.curve { stroke-width: 2.2; }
.curve.image { stroke: var(--image); }
.curve.pixel { stroke: var(--pixel); stroke-dasharray: 7 3.5; }
.raw { stroke: var(--image); opacity: .35; }
.chance { stroke: var(--quiet); stroke-dasharray: 2 4; }
.bar.good { fill: var(--good); }
.bar.defective { fill: var(--defective); }
line.review { stroke: var(--doubt); stroke-width: 2; stroke-dasharray: 5 3; }
line.reject { stroke: var(--wrong); stroke-width: 2; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); font-weight: 600; font-size: 13px; white-space: nowrap; }
tbody th { font-weight: 500; overflow-wrap: anywhere; }
td.n + td:not(.n), th.n + th:not(.n) { padding-left: 18px; }
.n { text-align: right; white-space: nowrap; }
.total th, .total td { font-weight: 650; border-bottom: 0; }
.interval-bar { width: 110px; height: 13px; vertical-align: -1px; margin-right: 10px; }
.interval-text { display: inline-block; min-width: 92px; }
.rail { fill: var(--line); }
.interval { fill: var(--good); }
.interval-dot { fill: var(--ink); }
.sortable.ready thead th { cursor: pointer; }
.sortable.ready thead th:hover { color: var(--ink); }

.panel { border-top: 1px solid var(--line); padding: 18px 0; break-inside: avoid; }
.panel:last-child { padding-bottom: 0; }
.legend { margin: 2px 0 18px; }
.three { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px; margin-top: 10px; }
.four { grid-template-columns: repeat(4, 1fr); }
.three img {
  display: block; width: 100%; height: auto; max-height: 420px; object-fit: contain;
  border-radius: 6px; background: #16191c;
}
.three figcaption { margin-top: 4px; text-align: center; font-size: 13px; }
.file { font-weight: 600; overflow-wrap: anywhere; }
td .file { display: inline-block; min-width: 170px; font-weight: 400; }
.badge {
  display: inline-block; border-radius: 10px; padding: 0 10px; font-size: 12.5px;
  font-weight: 600; line-height: 20px; margin-left: 4px;
}
td .badge { margin-left: 0; }
.badge.good { color: var(--right); background: var(--wash-right); }
.badge.review { color: var(--doubt); background: var(--wash-doubt); }
.badge.reject { color: var(--wrong); background: var(--wash-wrong); }
.phrase.wrong { color: var(--wrong); font-weight: 600; }
.phrase.doubt { color: var(--doubt); font-weight: 600; }
summary { cursor: pointer; font-weight: 600; padding: 2px 0; }
details[open] summary { margin-bottom: 12px; }
pre {
  margin: 0; padding: 14px 16px; overflow-x: auto; border-radius: 8px; background: var(--paper);
  font: 13px/1.5 ui-monospace, "Cascadia Mono", Menlo, "Liberation Mono", monospace;
}
dialog { border: 0; padding: 0; background: none; max-width: 96vw; max-height: 96vh; }
dialog::backdrop { background: rgb(0 0 0 / .8); }
dialog img { display: block; width: min(92vw, 92vh); height: auto; cursor: zoom-out; }
.ready-zoom .three img { cursor: zoom-in; }

@media (max-width: 760px) {
  .top, main { padding-left: 12px; padding-right: 12px; }
  .top { padding-top: 20px; }
  section { padding: 16px 14px; }
  h1 { font-size: 25px; }
  .two, .verdicts, .cards { grid-template-columns: minmax(0, 1fr); }
  .three { gap: 5px; }
  .four { grid-template-columns: repeat(2, 1fr); }
  .chart text { font-size: 14.5px; }
  .lead { font-size: 22px; }
}
@media print {
  body { background: #fff; font-size: 11pt; }
  section { border: 0; padding: 0; margin-bottom: 24px; }
  .scroll { overflow: visible; }
  thead th { white-space: normal; }
  table { font-size: 9pt; }
  h2, h3 { break-after: avoid; }
  .card, .verdict-block, figure, tr { break-inside: avoid; }
  .fill, .dot, .swatch, .ramp, .badge { print-color-adjust: exact; }
}
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  table.classList.add("ready");
  const value = (row, i) => row.cells[i].dataset.value ?? row.cells[i].textContent;
  const compare = (a, b) => (isNaN(a) || isNaN(b)) ? a.localeCompare(b) : a - b;
  table.tHead.addEventListener("click", event => {
    const head = event.target.closest("th"), body = table.tBodies[0];
    if (!head) return;
    const up = head.getAttribute("aria-sort") !== "ascending", i = head.cellIndex;
    for (const th of table.tHead.rows[0].cells) th.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...body.rows].sort((a, b) => compare(value(a, i), value(b, i)));
    body.append(...(up ? rows : rows.reverse()));
  });
}
const dialog = document.createElement("dialog");
dialog.addEventListener("click", () => dialog.close());
document.body.append(dialog);
document.body.classList.add("ready-zoom");
for (const image of document.querySelectorAll(".three img"))
  image.addEventListener("click", () => {
    dialog.replaceChildren(image.cloneNode());
    dialog.showModal();
  });
"""
