// The review page: parts are fetched ahead, so that a key shows the next one at once.
"use strict";

(() => {
  const AHEAD = 3; // parts that are fetched and locked in advance
  const REFRESH = 30000; // ms between refreshes of locks
  const $ = (id) => document.getElementById(id);
  const setup = JSON.parse($("review-setup").textContent);
  const viewer = $("viewer");
  const comment = $("comment");

  let current = null; // the part that is shown
  const coming = []; // fetched ahead
  const past = []; // ids of parts that were shown, for Back
  const putOff = new Set();
  const pending = new Set(); // decided here, and not yet known to be stored
  let left = 0;
  let today = 0;
  let wanted = true; // whether the queue may hold more than was fetched
  let work = Promise.resolve(); // requests one after the other: an undo must not overtake a decision

  const midnight = () => new Date().setHours(0, 0, 0, 0) * 1000;
  const mine = () => [current, ...coming].filter(Boolean).map((part) => part.id);
  let jobs = 0;
  const count = (change) => (document.body.dataset.jobs = jobs += change);
  const inTurn = (job) => {
    count(1);
    work = work
      .then(job)
      .catch((error) => station.say(error.message, true))
      .finally(() => count(-1));
  };
  window.addEventListener("beforeunload", (event) => jobs && pending.size && event.preventDefault());

  // the queue

  const fill = () =>
    inTurn(async () => {
      const count = AHEAD + (current ? 0 : 1) - coming.length;
      if (count <= 0 || !wanted) return;
      const { order, which, second, product } = setup;
      const skip = [...new Set([...putOff, ...mine(), ...pending])].slice(-500);
      const body = { order, which, second, product, count, skip, today: midnight() };
      const answer = await station.send("POST", "/api/v1/reviews/next", body);
      take(answer);
      wanted = answer.parts.length > 0;
      for (const part of answer.parts) {
        coming.push(part);
        prefetch(part);
      }
      showProgress();
      if (!current && coming.length) advance();
      else if (!current) show();
    });

  /** Take over the server's counts; it does not know yet what was decided meanwhile. */
  const take = (answer) => {
    left = Math.max(0, answer.left - pending.size);
    today = answer.today + pending.size;
  };

  const prefetch = (part) => {
    customElements.get("flawmap-viewer").prefetch(part.image, part.heat);
    if (part.reference) new Image().src = likeImage(part.reference);
  };
  const likeImage = (reference) => reference.image.replace(/image$/, "thumbnail");

  const advance = () => {
    current = coming.shift() ?? null;
    if (!current) wanted = true; // others may have come meanwhile
    show();
    if (coming.length < AHEAD) fill();
  };

  const showAgain = async (id) => {
    const part = await station.send("GET", `/api/v1/parts/${id}/review`);
    const held = await station.send("PUT", "/api/v1/reviews/locks", { parts: [id] });
    part.locked_by = held.others[id] ?? null;
    const known = coming.findIndex((one) => one.id === id);
    if (known >= 0) coming.splice(known, 1);
    if (current && current.id !== id) coming.unshift(current);
    putOff.delete(id);
    current = part;
    show();
  };

  // what is shown

  const element = (name, text = "", kind = "") => {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const verdict = (word) => element("span", word ?? "error", `verdict ${word ?? "error"}`);
  const moment = (at) => {
    const time = element("time");
    time.dateTime = new Date(at / 1000).toISOString();
    return time;
  };

  const show = () => {
    $("work").hidden = !current;
    $("empty").hidden = Boolean(current) || wanted;
    $("again").hidden = putOff.size === 0;
    $("again").textContent = `Show what you put off (${putOff.size})`;
    comment.value = "";
    showLock();
    showProgress();
    if (!current) {
      viewer.removeAttribute("src");
      return;
    }
    showImage();
    showFacts();
    showDrawn();
    showLike();
    showHistory();
    station.showMoments($("work"));
    $("spoken").textContent = `${name(current)}, the inspector says ${current.verdict ?? "error"}`;
  };

  const name = (part) => part.number || `Part ${part.id}`;

  const attribute = (key, value) => {
    if (value === null || value === undefined || value === false) viewer.removeAttribute(key);
    else viewer.setAttribute(key, value);
  };

  const showImage = () => {
    attribute("width", current.width);
    attribute("height", current.height);
    attribute("defects", JSON.stringify(current.defects));
    attribute("drawable", current.image ? "" : null);
    attribute("heat", current.heat);
    attribute("src", current.image);
    document.querySelector("[data-act=draw]").disabled = !current.image;
    document.querySelector("[data-act=heat]").disabled = !current.heat;
  };

  const showFacts = () => {
    $("number").textContent = name(current);
    $("number").title = name(current);
    $("number").href = `/parts/${current.id}`;
    $("verdict").replaceChildren(verdict(current.verdict));
    const texts = [current.error, current.note];
    if (current.second) texts.push("Second look: what others decided is hidden until you decide.");
    if (!current.image && !current.note) texts.push("The image of this part is not stored.");
    $("note").textContent = texts.filter(Boolean).join(" ");
    $("note").hidden = !$("note").textContent;
    const facts = [
      ["Score", score(current.score)],
      ["Good parts like it", current.p_value === null ? null : `at most ${percent(current.p_value)} score as high`],
      ["Marked", current.defects.map((one, index) => `${index + 1}: ${one.area} px`).join(", ")],
      ["Product", current.product],
      ["Line", current.line],
      ["Received", moment(current.received_at)],
      ...Object.entries(current.fields),
    ];
    if (current.decision) {
      const stands = element("span");
      stands.append(verdict(current.decision), ` by ${current.decided_by}`);
      facts.unshift(["Decided", stands]);
    }
    $("facts").replaceChildren();
    for (const [term, value] of facts) {
      if (!value) continue;
      const shown = element("dd");
      shown.append(value);
      $("facts").append(element("dt", term), shown);
    }
  };
  /** A score with the digits that tell it from others, as all pages show it. */
  const score = (value) => {
    if (value === null || value === undefined) return null;
    if (value === 0) return "0";
    if (Math.abs(value) < 0.001) return value.toExponential(1).replace(/e-(\d)$/, "e-0$1");
    return value.toFixed(Math.abs(value) < 100 ? 4 : 1);
  };
  const percent = (share) => `${(100 * share).toPrecision(2)} %`;

  const showDrawn = () => {
    attribute("drawn", JSON.stringify(current.drawn));
    attribute("types", JSON.stringify(setup.types));
    $("drawn").replaceChildren(
      ...current.drawn.map((one) => {
        const item = element("li", "", "row apart");
        const remove = element("button", "Remove", "plain");
        remove.type = "button";
        remove.setAttribute("aria-label", `Remove ${one.type}, ${one.area} pixels`);
        remove.addEventListener("click", () => erase(one));
        item.append(`${one.type}, ${one.area} px`, remove);
        return item;
      }),
    );
    const drawing = viewer.tool !== "pan";
    $("types").hidden = !drawing || !setup.types.length;
    $("types").replaceChildren(
      ...setup.types.slice(0, 9).map((type, index) => {
        const button = element("button", `${type} `);
        button.type = "button";
        button.append(element("kbd", `${index + 1}`));
        button.addEventListener("click", () => viewer.set({ type }));
        return button;
      }),
    );
  };

  const showLike = () => {
    const like = current.reference;
    $("like").hidden = !like;
    if (!like) return;
    $("like-image").src = likeImage(like);
    $("like-image").alt = `Good part ${like.number || like.id}`;
    $("like-link").href = `/parts/${like.id}`;
    $("like-text").replaceChildren(`Good: ${like.number || `part ${like.id}`}, `, moment(like.received_at));
    $("like-text").title = like.how;
  };

  const VERBS = { decide: "decided", undo: "undid", draw: "drew", erase: "removed" };
  const showHistory = () => {
    $("past").hidden = !current.history.length;
    $("history").replaceChildren(
      ...current.history.map((act) => {
        const item = element("li");
        item.append(`${act.user} ${VERBS[act.action]} `);
        if (act.decision) item.append(verdict(act.decision), " ");
        if (act.comment) item.append(act.action === "decide" ? `“${act.comment}” ` : `${act.comment} `);
        item.append(moment(act.created_at));
        return item;
      }),
    );
  };

  const showLock = () => {
    $("lock").hidden = !current?.locked_by;
    $("lock").firstElementChild.textContent = current?.locked_by
      ? `${current.locked_by} has this part open. Both decisions would be kept, the later one stands.`
      : "";
  };

  const showProgress = () => {
    $("left").textContent = left;
    $("today").textContent = today;
  };

  // acts

  const decide = (decision) => {
    if (!current) return;
    if (viewer.open) viewer.keep();
    const part = current;
    const text = comment.value.trim();
    past.push(part.id);
    pending.add(part.id);
    left = Math.max(0, left - (part.decision ? 0 : 1));
    today += 1;
    inTurn(async () => {
      try {
        const body = { decision, comment: text || null };
        const done = await station.send("POST", `/api/v1/parts/${part.id}/reviews`, body);
        if (!part.second && done.act.before !== part.decision)
          station.say(`Somebody had decided ${done.act.before ?? "to undo"} meanwhile: yours stands now.`);
      } catch (error) {
        past.splice(past.lastIndexOf(part.id), 1);
        if (current) coming.unshift(current);
        current = part;
        show();
        comment.value = text;
        throw new Error(`Not stored: ${error.message}`);
      } finally {
        pending.delete(part.id);
      }
    });
    advance();
  };

  const putItOff = () => {
    if (!current) return;
    const part = current;
    past.push(part.id);
    if (!part.decision) putOff.add(part.id);
    inTurn(() => station.send("DELETE", `/api/v1/parts/${part.id}/lock`));
    advance();
  };

  const back = () => {
    const id = past.pop();
    if (id === undefined) return station.say("This is the first part that you looked at.");
    inTurn(() => showAgain(id));
  };

  const undo = () =>
    inTurn(async () => {
      const done = await station.send("POST", "/api/v1/reviews/undo", {});
      const at = past.lastIndexOf(done.part);
      if (at >= 0) past.splice(at, 1);
      await showAgain(done.part);
      station.say(`Undone: ${name(current)} is ${done.decision ?? "open"} again.`);
      const answer = await station.send("POST", "/api/v1/reviews/next", { ...progress(), skip: [...putOff, ...mine(), ...pending].slice(-500) });
      take(answer);
      for (const part of answer.parts) (coming.push(part), prefetch(part));
      showProgress();
    });
  const progress = () => {
    const { order, which, second, product } = setup;
    return { order, which, second, product, count: 1, today: midnight() };
  };

  const draw = () => {
    if (!current?.image) return;
    viewer.set({ tool: viewer.tool === "pan" ? "polygon" : "pan" });
    if (!viewer.type && setup.types.length) viewer.set({ type: setup.types[0] });
    showDrawn();
    viewer.querySelector("canvas").focus();
  };

  let heat = 0.7;
  const toggleHeat = () => {
    if (viewer.opacity) heat = viewer.opacity;
    viewer.set({ opacity: viewer.opacity ? 0 : heat });
  };

  const takeOver = () =>
    inTurn(async () => {
      const { taken_from: from } = await station.send("POST", `/api/v1/parts/${current.id}/lock`);
      current.locked_by = null;
      showLock();
      if (from) station.say(`You took this part over from ${from}.`);
    });

  viewer.addEventListener("flawmap-draw", ({ detail }) => {
    const part = current;
    inTurn(async () => {
      const drawn = await station.send("POST", `/api/v1/parts/${part.id}/defects`, detail);
      part.drawn.push(drawn);
      if (!setup.types.includes(drawn.type)) setup.types.push(drawn.type);
      if (part === current) showDrawn();
    });
  });
  viewer.addEventListener("flawmap-failed", ({ detail }) => station.say(detail, true));

  const erase = (defect) => {
    const part = current;
    inTurn(async () => {
      await station.send("DELETE", `/api/v1/parts/${part.id}/defects/${defect.id}`);
      part.drawn = part.drawn.filter((one) => one.id !== defect.id);
      if (part === current) showDrawn();
    });
  };

  const ACTS = {
    good: () => decide("good"),
    reject: () => decide("reject"),
    unsure: () => decide("unsure"),
    next: putItOff,
    back,
    undo,
    draw,
    heat: toggleHeat,
    take: takeOver,
  };
  const KEYS = { g: "good", r: "reject", u: "unsure", n: "next", b: "back", z: "undo", d: "draw", h: "heat" };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) ACTS[button.dataset.act]();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input:not([type=checkbox], [type=range]), textarea, select");
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (!$("keys").checked || event.repeat) return; // a key that is held decides on one part only
    const key = event.key.toLowerCase();
    if (key === "c" && current) comment.focus();
    else if (KEYS[key]) ACTS[KEYS[key]]();
    else if (/^[1-9]$/.test(key) && viewer.tool !== "pan" && setup.types[key - 1])
      viewer.set({ type: setup.types[key - 1] });
    else if ((key === "+" || key === "=") && current) viewer.zoom(1.25);
    else if (key === "-" && current) viewer.zoom(0.8);
    else if (key === "0" && current) viewer.fit();
    else if (key === "escape" && viewer.tool !== "pan") draw();
    else return;
    event.preventDefault();
  });

  $("keys").checked = localStorage.getItem("review-keys") !== "off";
  $("keys").addEventListener("change", () => localStorage.setItem("review-keys", $("keys").checked ? "on" : "off"));
  $("wish").addEventListener("change", () => $("wish").requestSubmit());
  $("again").addEventListener("click", () => {
    putOff.clear();
    wanted = true;
    fill();
  });

  // locks stay while the page is open, and are given back when it is left

  const refresh = async () => {
    if (!mine().length || document.hidden) return;
    const { others } = await station.send("PUT", "/api/v1/reviews/locks", { parts: mine() });
    for (let i = coming.length - 1; i >= 0; i--) if (others[coming[i].id]) coming.splice(i, 1);
    if (!current) return;
    current.locked_by = others[current.id] ?? null;
    showLock();
  };
  setInterval(() => refresh().catch(() => {}), REFRESH);
  station.on("lock", ({ part }) => mine().includes(part) && refresh().catch(() => {}));
  const look = () => {
    if (current || document.hidden) return;
    wanted = true;
    fill();
  };
  station.on("part", look);
  setInterval(look, REFRESH);
  window.addEventListener("pagehide", () => {
    const headers = { "X-CSRF-Token": document.querySelector('meta[name="csrf"]').content };
    for (const id of mine())
      fetch(`/api/v1/parts/${id}/lock`, { method: "DELETE", keepalive: true, headers });
  });

  if (setup.part) inTurn(() => showAgain(setup.part));
  fill();
})();
