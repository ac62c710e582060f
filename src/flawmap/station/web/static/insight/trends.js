// The trends page: draws its series with uPlot; every chart has its numbers in a table below it.
"use strict";

(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes(`flawmap_zone=${zone}`)) {
    document.cookie = `flawmap_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
  }
  const source = document.getElementById("trends-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const { series, drift, limits } = data;
  const style = () => {
    const read = getComputedStyle(document.documentElement);
    return (name) => read.getPropertyValue(`--${name}`).trim();
  };
  const seconds = (moments) => moments.map((at) => at / 1e6);
  const column = (rows, i, scale = 1) => rows.map((row) => (row ? row[i] * scale : null));
  const percent = (values) => values.map((value) => (value === null ? null : 100 * value));

  // labels of moments: for each distance between ticks, the short one, and below it what it leaves out
  const MOMENTS = [
    [31536000, "{YYYY}", null, null, null, null, null, null, 1],
    [2419200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [3600, "{HH}:00", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
    [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
    [1, ":{ss}", "\n{D} {MMM} {YYYY} {HH}:{mm}", null, "\n{D} {MMM} {HH}:{mm}", null, "\n{HH}:{mm}", null, 1],
  ];
  const TIME = { value: "{YYYY}-{MM}-{DD} {HH}:{mm}" };
  const axes = (colour, unit, format) => [
    { values: MOMENTS, stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, font: "13px system-ui, sans-serif" },
    {
      stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") },
      font: "13px system-ui, sans-serif", size: 68, label: unit, labelFont: "13px system-ui, sans-serif", labelSize: 22,
      values: (_, splits) => splits.map(format),
    },
  ];
  const stepped = uPlot.paths.stepped({ align: 1 });
  const line = (label, stroke, more = {}) => ({ label, stroke, width: 2, spanGaps: false, ...more });
  const tidy = (unit) => (_, value) => (value === null || value === undefined ? "–" : `${Number(value.toPrecision(4))}${unit}`);

  /** 10 to a whole power, in words that stay short. */
  const power = (v) => (v < -2 ? `10${[...String(v)].map((one) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(one)]).join("")}` : String(Number((10 ** v).toPrecision(1))));

  /** Points outside the limits get a cross: a shape, not only a colour. */
  const crosses = (outside, colour) => (plot) => {
    const { ctx } = plot;
    const reach = 6 * devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = colour("reject");
    ctx.lineWidth = 3 * devicePixelRatio;
    ctx.beginPath();
    outside.forEach((is, i) => {
      if (!is) return;
      const x = plot.valToPos(plot.data[0][i], "x", true);
      const y = plot.valToPos(plot.data[1][i], "y", true);
      for (const sign of [1, -1]) {
        ctx.moveTo(x - reach, y - sign * reach);
        ctx.lineTo(x + reach, y + sign * reach);
      }
    });
    ctx.stroke();
    ctx.restore();
  };
  /** Horizontal line over the whole chart. */
  const rule = (value, stroke, dash) => (plot) => {
    const y = plot.valToPos(value, "y", true);
    const { ctx, bbox } = plot;
    if (y < bbox.top || y > bbox.top + bbox.height) return;
    ctx.save();
    ctx.strokeStyle = stroke;
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.setLineDash(dash.map((one) => one * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  };

  const charts = {
    "rate-plot": (colour) => ({
      values: [seconds(series.at), percent(series.share), percent(series.low), percent(series.high), series.at.map(() => (series.centre === null ? null : 100 * series.centre))],
      series: [
        TIME,
        line("share", colour("accent"), { points: { show: series.at.length < 200, size: 7 }, value: tidy(" %") }),
        line("lower limit", colour("quiet"), { dash: [6, 4], width: 1.5, paths: stepped, points: { show: false }, value: tidy(" %") }),
        line("upper limit", colour("quiet"), { dash: [6, 4], width: 1.5, paths: stepped, points: { show: false }, value: tidy(" %") }),
        line("centre", colour("good"), { width: 1.5, points: { show: false }, value: tidy(" %") }),
      ],
      axes: axes(colour, "% of parts", (v) => `${Number(v.toPrecision(4))}`),
      range: (_, low, high) => [0, Math.max(0.1, high * 1.08)],
      draw: [crosses(series.outside, colour)],
    }),
    "score-plot": (colour) => ({
      values: [seconds(series.at), ...[0, 1, 3, 4, 2].map((i) => column(series.scores, i))],
      series: [
        TIME,
        line("5 %", colour("edge"), { width: 1, points: { show: false }, value: tidy("") }),
        line("25 %", colour("edge"), { width: 1, points: { show: false }, value: tidy("") }),
        line("75 %", colour("edge"), { width: 1, points: { show: false }, value: tidy("") }),
        line("95 %", colour("edge"), { width: 1, points: { show: false }, value: tidy("") }),
        line("median", colour("accent"), { points: { show: series.at.length < 60, size: 6 }, value: tidy("") }),
      ],
      bands: [
        { series: [4, 3], fill: colour("sunken") },
        { series: [3, 2], fill: colour("accent-tint") },
        { series: [2, 1], fill: colour("sunken") },
      ],
      axes: axes(colour, "score", (v) => `${Number(v.toPrecision(4))}`),
      range: (_, low, high) => {
        const all = [low ?? 0, high ?? 1, ...(limits ?? [])];
        const [least, most] = [Math.min(...all), Math.max(...all)];
        const edge = 0.06 * (most - least || 1);
        return [least >= 0 ? Math.max(0, least - edge) : least - edge, most + edge];
      },
      draw: limits ? [rule(limits[0], colour("review"), [6, 4]), rule(limits[1], colour("reject"), [])] : [],
    }),
    "drift-plot": (colour) => ({
      values: [seconds(drift.at), drift.capital],
      series: [TIME, line("log10 of the capital", colour("accent"), { points: { show: drift.at.length < 3, size: 8 }, value: tidy("") })],
      axes: axes(colour, "capital", (v) => (Number.isInteger(v) ? power(v) : "")),
      range: (_, low, high) => [Math.min(-0.5, low ?? 0), Math.max(drift.limit * 1.15, high ?? 0)],
      draw: [rule(drift.limit, colour("reject"), [])],
    }),
    "latency-plot": (colour) => ({
      values: [seconds(series.at), ...[0, 1, 2].map((i) => column(series.latency, i))],
      series: [
        TIME,
        line("median", colour("accent"), { points: { show: series.at.length < 60, size: 6 }, value: tidy(" ms") }),
        line("95 %", colour("review"), { dash: [6, 4], points: { show: false }, value: tidy(" ms") }),
        line("99 %", colour("quiet"), { dash: [2, 3], points: { show: false }, value: tidy(" ms") }),
      ],
      axes: axes(colour, "milliseconds", (v) => `${Number(v.toPrecision(4))}`),
      range: (_, low, high) => [0, (high ?? 1) * 1.08],
      draw: [],
    }),
  };

  const HEIGHT = 260;
  let drawn = [];
  const drawAll = () => {
    for (const one of drawn) one.destroy();
    drawn = [];
    const colour = style();
    for (const [id, make] of Object.entries(charts)) {
      const box = document.getElementById(id);
      if (!box) continue;
      const chart = make(colour);
      const first = chart.values[0];
      const options = {
        width: Math.max(280, box.clientWidth),
        height: HEIGHT,
        series: chart.series,
        axes: chart.axes,
        bands: chart.bands,
        scales: {
          x: { range: (_, low, high) => (first.length > 1 ? [low, high] : [first[0] - 1800, first[0] + 1800]) },
          y: { range: chart.range },
        },
        legend: { live: true },
        cursor: { drag: { x: true, y: false } },
        hooks: { draw: chart.draw },
      };
      const plot = new uPlot(options, chart.values, box);
      plot.root.setAttribute("aria-hidden", "true"); // the table below has the numbers
      drawn.push(plot);
    }
  };
  drawAll();
  new ResizeObserver(() => {
    for (const one of drawn) {
      const width = Math.max(280, one.root.parentElement.clientWidth);
      if (width !== one.width) one.setSize({ width, height: HEIGHT });
    }
  }).observe(document.getElementById("content"));
  new MutationObserver(drawAll).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  document.getElementById("restart")?.addEventListener("click", async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await station.send("POST", `/api/v1/products/${data.product}/drift/restart`);
      location.reload();
    } catch (error) {
      station.say(error.message, true);
      button.disabled = false;
    }
  });
  station.on("alarm", ({ product_id, on }) => {
    if (on && product_id === data.product) station.say("Drift alarm: load the page again.", true);
  });
})();
