// The live page: fetches what is new when the station says so, and after a lost connection.
"use strict";

(() => {
  const live = document.getElementById("live");
  if (!live) {
    station.on("part", () => location.reload()); // the first part: the page changes as a whole
    return;
  }
  const tiles = document.getElementById("tiles");
  const pause = document.getElementById("pause");
  const shown = Number(live.dataset.shown);
  const EVERY = 400; // milliseconds between two looks at most
  let last = Number(live.dataset.last);
  let held = []; // tiles that came while paused, the newest first
  let problems = null;
  let paused = false;
  let busy = false;
  let again = false;

  const fragment = (html) => {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    station.showMoments(holder.content);
    return holder.content;
  };
  const isUsed = () => paused || tiles.matches(":hover") || tiles.contains(document.activeElement);
  const label = () => {
    const text = paused ? "Go on" : "Pause";
    pause.textContent = held.length ? `${text} · ${held.length === shown ? `${shown}+` : held.length} new` : text;
    pause.setAttribute("aria-pressed", String(paused));
  };
  const release = () => {
    if (isUsed() || !held.length) return label();
    for (const html of held.reverse()) tiles.prepend(fragment(html));
    held = [];
    while (tiles.children.length > shown) tiles.lastElementChild.remove();
    station.applyHeat(tiles);
    label();
  };
  const replace = (id, html) => {
    const place = document.getElementById(id);
    const focused = [...place.querySelectorAll("a")].indexOf(document.activeElement);
    place.replaceChildren(fragment(html));
    if (focused >= 0) place.querySelectorAll("a")[focused]?.focus();
  };
  const look = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    again = false;
    try {
      const query = new URLSearchParams({ after: last, product: live.dataset.product });
      const news = await station.send("GET", `/live/news?${query}`);
      last = news.last;
      held = [...news.tiles, ...held].slice(0, shown);
      replace("lamps", news.lamps);
      replace("counts", news.counts);
      if (news.problems !== problems) {
        problems = news.problems; // said again only if it is another one
        document.getElementById("problems").hidden = !problems.trim();
        replace("problems", problems);
      }
      release();
    } catch (error) {
      console.warn(error); // the header says that the connection is lost
    }
    setTimeout(() => {
      busy = false;
      if (again) look();
    }, EVERY);
  };

  // tiles stay where they are while somebody points at one, so that nobody presses the wrong one
  pause.addEventListener("click", () => {
    paused = !paused;
    release();
  });
  tiles.addEventListener("pointerleave", () => setTimeout(release, 200));
  tiles.addEventListener("focusout", () => setTimeout(release, 200));
  station.on("part", look);
  station.on("open", look);
  setInterval(() => document.hidden || look(), 15000); // the rate falls when no part comes
})();
