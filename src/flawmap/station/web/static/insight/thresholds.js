// The thresholds page: what moves asks the server at once, what is applied becomes a version.
"use strict";

(() => {
  const source = document.getElementById("thresholds-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const base = `/api/v1/products/${data.product}`;
  const get = (id) => document.getElementById(id);
  const form = get("try");
  const PERCENT = ["false_reject", "review"];
  const PAIRS = { rates: ["false_reject", "review"], values: ["reject_value", "review_value"] };
  const FILTERS = ["min_area", "min_peak", "merge_distance"];
  const MOST = { min_area: 5000, min_peak: 1, merge_distance: 100 };
  const VERDICTS = ["good", "review", "reject"];
  const scores = data.bins.edges;
  const [low, high] = [scores[0], scores[scores.length - 1]];

  /** The exact values; what the boxes show is rounded. */
  let now = { ...data.present };
  let kind = data.computed ? "rates" : "values";

  // between values and positions 0..1000 of the sliders
  const nearest = (rate) =>
    data.rates.reduce((best, one, i) => (Math.abs(one - rate) < Math.abs(data.rates[best] - rate) ? i : best), 0);
  const toSlider = (name, value) => {
    if (PERCENT.includes(name)) return (1000 * nearest(value)) / Math.max(1, data.rates.length - 1);
    if (name.endsWith("_value")) return (1000 * (value - low)) / (high - low);
    return 1000 * Math.cbrt(Math.min(1, value / MOST[name]));
  };
  const fromSlider = (name, position) => {
    const share = position / 1000;
    if (PERCENT.includes(name)) return data.rates[Math.round(share * (data.rates.length - 1))];
    if (name.endsWith("_value")) return low + share * (high - low);
    const value = MOST[name] * share ** 3;
    return name === "min_peak" ? Number(value.toFixed(3)) : Math.round(value);
  };
  const shown = (name, value) => {
    if (PERCENT.includes(name)) return Number((100 * value).toPrecision(4));
    return name.endsWith("_value") ? Number(value.toPrecision(5)) : Number(value.toPrecision(6));
  };
  const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 2 : 1)} %`;

  const show = (except) => {
    for (const name of [...PAIRS.rates, ...PAIRS.values, ...FILTERS]) {
      if (name !== except) get(name).value = shown(name, now[name]);
      const slider = get(`${name}-slider`);
      if (slider !== document.activeElement || name !== except) slider.value = toSlider(name, now[name]);
      slider.setAttribute("aria-valuetext", `${shown(name, now[name])}${PERCENT.includes(name) ? " %" : ""}`);
    }
    for (const part of document.querySelectorAll("[data-kind]")) part.hidden = part.dataset.kind !== kind;
    for (const radio of form.querySelectorAll('input[name="kind"]')) radio.checked = radio.value === kind;
  };

  /** Keep the two of a pair in order: the one that was not moved follows. */
  const set = (name, value) => {
    if (!Number.isFinite(value) || (!name.endsWith("_value") && value < 0)) return;
    if (PERCENT.includes(name) && (value <= 0 || value >= 1)) return;
    now = { ...now, [name]: value };
    if (name === "false_reject") now.review = Math.max(now.review, value);
    if (name === "review") now.false_reject = Math.min(now.false_reject, value);
    if (name === "reject_value") now.review_value = Math.min(now.review_value, value);
    if (name === "review_value") now.reject_value = Math.max(now.reject_value, value);
  };

  const question = () => {
    const values = new URLSearchParams({ start: data.start, end: data.end });
    if (data.line) values.set("line", data.line);
    for (const name of [...PAIRS[kind], ...FILTERS]) values.set(name, now[name]);
    return values;
  };
  const proposal = () => {
    const filters = Object.fromEntries(FILTERS.map((name) => [name, now[name]]));
    if (kind === "rates") return { rates: { false_reject: now.false_reject, review: now.review }, filters };
    return { values: { reject: now.reject_value, review: now.review_value }, filters };
  };

  // one question at a time; the latest wins; maps and tiles follow when nothing moves
  let asking = false;
  let again = false;
  let rest = 0;
  const ask = async () => {
    again = true;
    clearTimeout(rest);
    get("outcome").dataset.busy = "";
    if (asking) return;
    asking = true;
    try {
      while (again) {
        again = false;
        const answer = await station.send("GET", `${base}/what-if?${question()}`);
        if (!again) render(answer);
      }
      rest = setTimeout(complete, 250);
    } catch (error) {
      get("outcome").textContent = error.message;
      canApply(false);
    } finally {
      asking = false;
      delete get("outcome").dataset.busy;
    }
  };
  const complete = async () => {
    const mine = question().toString();
    try {
      for (;;) {
        const answer = await station.send("GET", `${base}/what-if?${mine}&maps=true`);
        if (mine !== question().toString()) return;
        render(answer);
        if (!answer.waiting) break;
      }
      const tiles = await fetch(`/thresholds/changed?product_id=${data.product}&${mine}`);
      if (!tiles.ok || mine !== question().toString()) return;
      get("changed").innerHTML = await tiles.text();
      station.showMoments(get("changed"));
    } catch (error) {
      get("outcome").textContent = error.message;
    }
  };

  const count = (number) => number.toLocaleString("en-GB").replaceAll(",", "\u202f");
  const canApply = (may) => get("apply") && (get("apply").disabled = !may);
  const interval = ({ hits, total, value, low, high }) =>
    total ? `${percent(value)} (${percent(low)}–${percent(high)}), ${count(hits)} of ${count(total)}` : "no part reviewed";

  const render = (answer) => {
    const judged = answer.counts.flat().reduce((sum, one) => sum + one, 0);
    get("outcome").textContent = answer.parts
      ? `${count(answer.changed)} of ${count(judged)} verdicts would change` +
        (answer.waiting ? `; ${count(answer.waiting)} maps are still being read` : "")
      : "No part was inspected in this range.";
    const notes = [];
    if (answer.truncated) notes.push(`The range holds more parts: these are the newest ${count(answer.parts)}.`);
    if (answer.without_map) notes.push(`${count(answer.without_map)} parts cannot be decided: their map is not stored.`);
    if (answer.excluded) notes.push(`${count(answer.excluded)} parts are left out: another model scored them.`);
    if (!answer.differences.length && answer.changed)
      notes.push("These are the settings in force; the parts that differ were judged with earlier ones.");
    get("notes").textContent = notes.join(" ");
    [...get("counts").tBodies[0].rows].forEach((row, then) =>
      answer.counts[then].forEach((number, with_) => {
        const cell = row.cells[with_ + 1];
        cell.textContent = count(number);
        cell.className = `number${number && with_ < 3 && with_ !== then ? " moved" : ""}`;
      }),
    );
    for (const row of get("errors").tBodies[0].rows) {
      const [before, after] = row.dataset.set === "sample"
        ? [answer.sample_before, answer.sample_after] : [answer.before, answer.after];
      row.cells[1].textContent = interval(before[row.dataset.rate]);
      row.cells[2].textContent = interval(after[row.dataset.rate]);
    }
    const { limits } = answer;
    if (kind === "rates") {
      now = { ...now, reject_value: limits.reject, review_value: limits.review };
      show(document.activeElement?.name || document.activeElement?.dataset?.for);
    }
    get("statement").textContent = limits.statement;
    const body = get("differences").tBodies[0];
    body.replaceChildren(...answer.differences.map((row) => {
      const line = document.createElement("tr");
      for (const text of [row.name, row.before, row.after]) line.insertCell().textContent = text;
      return line;
    }));
    body.parentElement.parentElement.hidden = !answer.differences.length;
    canApply(answer.differences.length > 0);
    drawLines(limits.review, limits.reject);
  };

  // histogram: bars of counts, and lines of the thresholds
  const SVG = "http://www.w3.org/2000/svg";
  const make = (name, values, text) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const box = get("histogram");
  const HEIGHT = 240;
  const FRAME = { left: 56, right: 36, top: 24, bottom: 64 };
  let frame = null;
  let lines = null;
  const x = (score) => FRAME.left + ((score - low) / (high - low)) * (frame.width - FRAME.left - FRAME.right);
  const drawBars = () => {
    const width = Math.max(320, box.clientWidth);
    const svg = make("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" });
    frame = { width };
    const totals = data.bins.good.map((_, i) => VERDICTS.reduce((sum, word) => sum + data.bins[word][i], 0));
    const most = Math.max(1, ...totals);
    const floor = HEIGHT - FRAME.bottom;
    const y = (number) => floor - (Math.log1p(number) / Math.log1p(most)) * (floor - FRAME.top);
    for (let tick = 1; tick <= most; tick *= 10) {
      svg.append(make("line", { class: "grid", x1: FRAME.left, x2: width - FRAME.right, y1: y(tick), y2: y(tick) }));
      svg.append(make("text", { class: "tick", x: FRAME.left - 8, y: y(tick) + 4, "text-anchor": "end" }, count(tick)));
    }
    totals.forEach((total, i) => {
      if (!total) return;
      let sum = 0;
      for (const word of VERDICTS) {
        const number = data.bins[word][i];
        if (!number) continue;
        // within a bar, the verdicts share its height by their numbers
        const from = y(total) + (floor - y(total)) * (1 - sum / total);
        sum += number;
        const to = y(total) + (floor - y(total)) * (1 - sum / total);
        svg.append(make("rect", { class: `bar-${word}`, x: x(scores[i]), y: to, width: Math.max(1, x(scores[i + 1]) - x(scores[i]) - 1), height: from - to }));
      }
    });
    svg.append(make("line", { class: "axis", x1: FRAME.left, x2: width - FRAME.right, y1: floor, y2: floor }));
    for (let i = 0; i <= 5; i++) {
      const score = low + ((high - low) * i) / 5;
      svg.append(make("text", { class: "tick", x: x(score), y: HEIGHT - 24, "text-anchor": "middle" }, score.toPrecision(3)));
    }
    svg.append(make("text", { class: "tick", x: (FRAME.left + width - FRAME.right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, "score"));
    data.bins.reviewed_good.forEach((good, i) => {
      const middle = (x(scores[i]) + x(scores[i + 1])) / 2;
      if (good) svg.append(make("text", { class: "rug good", x: middle, y: floor + 14, "text-anchor": "middle" }, "▲"));
      if (data.bins.reviewed_defective[i])
        svg.append(make("text", { class: "rug reject", x: middle, y: floor + 26, "text-anchor": "middle" }, "✕"));
    });
    lines = make("g", {});
    svg.append(lines);
    box.replaceChildren(svg);
  };
  let limits = [data.present.review_value, data.present.reject_value];
  const drawLines = (...values) => {
    limits = values;
    lines.replaceChildren();
    ["review", "reject"].forEach((word, i) => {
      const at = Math.min(frame.width - FRAME.right, Math.max(FRAME.left, x(limits[i])));
      lines.append(make("line", { class: `limit ${word}`, x1: at, x2: at, y1: FRAME.top - 4, y2: HEIGHT - FRAME.bottom }));
      lines.append(make("text", { class: `limit-name ${word}`, x: at, y: FRAME.top - 8, "text-anchor": i ? "start" : "end" }, i ? " reject" : "review "));
    });
  };
  const draw = () => {
    drawBars();
    drawLines(...limits);
  };
  const table = get("histogram-table").tBodies[0];
  data.bins.good.forEach((_, i) => {
    if (!VERDICTS.some((word) => data.bins[word][i])) return;
    const row = table.insertRow();
    for (const text of [scores[i].toPrecision(4), scores[i + 1].toPrecision(4), ...VERDICTS.map((word) => count(data.bins[word][i]))]) {
      const cell = row.insertCell();
      cell.className = "number";
      cell.textContent = text;
    }
  });

  form.addEventListener("input", (event) => {
    const { target } = event;
    if (target.name === "kind") {
      kind = target.value;
      show();
      return ask();
    }
    const name = target.dataset.for ?? target.name;
    const value = target.dataset.for ? fromSlider(name, Number(target.value))
      : target.value === "" ? NaN : Number(target.value) / (PERCENT.includes(name) ? 100 : 1);
    set(name, value);
    show(name);
    if (target.dataset.for) get(name).value = shown(name, now[name]);
    ask();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  get("reset").addEventListener("click", () => {
    now = { ...data.present };
    kind = data.computed ? "rates" : "values";
    show();
    ask();
  });

  const change = async (path, body, button) => {
    button.disabled = true;
    try {
      const { number } = await station.send("POST", `${base}/settings${path}`, { seen: data.seen, ...body });
      sessionStorage.setItem("applied", number);
      location.reload();
    } catch (error) {
      station.say(error.message, true);
      button.disabled = false;
    }
  };
  get("apply")?.addEventListener("click", (event) =>
    change("", { proposal: proposal(), comment: get("comment").value }, event.currentTarget));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-restore]");
    if (!button) return;
    if (button.dataset.sure === undefined) {
      button.dataset.sure = "";
      button.textContent = `Yes, go back to ${button.dataset.restore}`;
      return;
    }
    const number = Number(button.dataset.restore);
    change("/roll-back", { number, comment: `Back to version ${number}.` }, button);
  });
  const applied = sessionStorage.getItem("applied");
  if (applied) {
    sessionStorage.removeItem("applied");
    station.say(`Version ${applied} is in force: parts from now on are judged with it.`);
  }
  station.on("settings", ({ product_id, version }) => {
    if (product_id === data.product && version !== data.seen)
      station.say(`The settings were changed: version ${version} is in force. Load the page again.`);
  });

  window.addEventListener("resize", draw);
  show();
  draw();
  ask();
})();
