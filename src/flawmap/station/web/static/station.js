// Small helpers that every page uses. No inline scripts: the Content-Security-Policy forbids them.
"use strict";

(() => {
  const root = document.documentElement;
  const all = (selector, part = document) => [...part.querySelectorAll(selector)];

  // theme: the system's, or the person's choice (theme.js applies it before the first paint)
  const chosen = root.dataset.theme ?? "system";
  for (const radio of all('#themes input[name="theme"]')) {
    radio.checked = radio.value === chosen;
    radio.addEventListener("change", () => {
      if (radio.value === "system") {
        delete root.dataset.theme;
        localStorage.removeItem("theme");
      } else {
        root.dataset.theme = radio.value;
        localStorage.setItem("theme", radio.value);
      }
    });
  }

  // menus close by Escape, and by a click or focus elsewhere
  const closeMenus = (except) => {
    for (const menu of all("details.menu[open]")) if (menu !== except) menu.open = false;
  };
  for (const kind of ["click", "focusin"])
    document.addEventListener(kind, (event) => closeMenus(event.target.closest("details.menu")));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details.menu[open]");
    closeMenus();
    menu?.querySelector("summary").focus();
  });

  // the CSRF token goes with every request that htmx or `send` makes
  const token = document.querySelector('meta[name="csrf"]')?.content ?? "";
  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRF-Token"] = token;
  });

  /** The sentence in an answer that is an error. */
  const reason = (text, status) => {
    try {
      const { detail } = JSON.parse(text);
      if (typeof detail === "string") return detail;
      if (Array.isArray(detail)) return detail.map((one) => `${one.loc?.at(-1)}: ${one.msg}`).join("; ");
    } catch {
      // not JSON
    }
    return `The server answered ${status}.`;
  };

  /** Show a message for some seconds; a failure stays until it is closed. */
  const say = (text, failure = false) => {
    const message = document.createElement("div");
    message.className = failure ? "message failure toast" : "message toast";
    message.append(text);
    const close = document.createElement("button");
    close.className = "plain";
    close.type = "button";
    close.textContent = "Close";
    close.addEventListener("click", () => message.remove());
    message.append(close);
    document.getElementById("messages").append(message);
    if (!failure) setTimeout(() => message.remove(), 6000);
  };
  document.addEventListener("htmx:responseError", (event) =>
    say(reason(event.detail.xhr.responseText, event.detail.xhr.status), true),
  );
  document.addEventListener("htmx:sendError", () => say("The server does not answer.", true));

  // events of the server: one stream for the page, none while the page is hidden
  const listeners = new Map();
  const state = document.getElementById("state");
  const lost = document.getElementById("lost");
  let stream = null;
  let wasLost = false;
  let retry = 0;

  const setState = (word, shown) => {
    state.dataset.state = word;
    state.querySelector(".word").textContent = shown;
  };
  const tell = (kind, values) => {
    for (const listener of listeners.get(kind) ?? []) listener(values);
  };
  const onLost = (text) => {
    setState("lost", "Not connected");
    lost.textContent = text;
    lost.hidden = false;
    wasLost = true;
  };
  const subscribe = (kind) => {
    if (kind === "open") return; // the stream's own event: `onOpen` tells of it
    stream?.addEventListener(kind, (event) => tell(kind, JSON.parse(event.data)));
  };

  const onState = ({ queue = null, alarms = [] }) => {
    const alarm = document.getElementById("alarm");
    alarm.hidden = !alarms.length;
    alarm.textContent = `! Drift: ${alarms.length > 1 ? `${alarms.length} products` : (alarms[0] ?? "")}`;
    alarm.href = `/trends?product=${encodeURIComponent(alarms[0] ?? "")}#drift`;
    const shown = state.querySelector(".queue");
    shown.hidden = queue === null;
    if (queue !== null) shown.querySelector("b").textContent = queue;
  };
  const onOpen = () => {
    setState("running", "Connected");
    lost.hidden = true;
    if (wasLost) say("Connected again.");
    wasLost = false;
    tell("open", {}); // pages fetch what they missed
  };
  const onError = async () => {
    if (stream?.readyState === EventSource.CONNECTING)
      return onLost("Connection to the station lost: what you see is old. Trying again…");
    disconnect();
    const answer = await fetch("/events", { method: "HEAD" }).catch(() => null);
    if (answer?.status === 401)
      return onLost("You were logged out. Load the page again to log in.");
    onLost("Connection to the station lost: what you see is old. Trying again…");
    retry = setTimeout(connect, 3000);
  };
  const connect = () => {
    if (stream || document.hidden) return;
    stream = new EventSource("/events");
    stream.addEventListener("open", onOpen);
    stream.addEventListener("error", onError);
    stream.addEventListener("state", (event) => onState(JSON.parse(event.data)));
    for (const kind of listeners.keys()) subscribe(kind);
  };
  const disconnect = () => {
    clearTimeout(retry);
    stream?.close();
    stream = null;
  };
  if (state) {
    // a browser opens only six connections to one server: pages that nobody sees take none
    document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
    window.addEventListener("pagehide", disconnect);
    window.addEventListener("pageshow", (event) => event.persisted && connect());
    document.addEventListener("DOMContentLoaded", connect);
  }

  window.station = {
    say,

    /** Fetch from the API with the CSRF token; throws an Error with the server's message. */
    async send(method, path, body) {
      const answer = await fetch(path, {
        method,
        headers: { "X-CSRF-Token": token, "Content-Type": "application/json" },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(reason(text, answer.status));
      return text ? JSON.parse(text) : null;
    },

    /** Call `listener(values)` at each event of this kind; "open": (again) connected. */
    on(kind, listener) {
      if (!listeners.has(kind)) {
        listeners.set(kind, []);
        subscribe(kind);
      }
      listeners.get(kind).push(listener);
    },
  };

  // thumbnails are loaded when they come near the screen; browsers' own laziness loads far ahead
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        target.src = target.dataset.lazy;
        near.unobserve(target);
      }
    },
    { rootMargin: "250px" },
  );

  // moments in the person's own time zone, the same length as the server's text in UTC
  const two = (number) => String(number).padStart(2, "0");
  const dayOf = (t) => `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;
  const timeOf = (t) => `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
  const ago = (t) => {
    const seconds = Math.max(0, Math.round((Date.now() - t) / 1000));
    if (seconds < 60) return `${seconds} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : dayOf(t);
  };
  const shownAs = (t, style) => {
    if (style === "ago") return ago(t);
    if (style === "time" && dayOf(t) === dayOf(new Date())) return timeOf(t);
    return `${dayOf(t)} ${timeOf(t)}`;
  };
  const show = (element) => {
    const time = new Date(element.dateTime);
    element.textContent = shownAs(time, element.dataset.style);
    element.title = time.toISOString();
    if (element.dataset.style === "ago") element.dataset.old = Date.now() - time > 60000;
  };
  /** Show the moments, and load the thumbnails, of HTML that was added to the page. */
  window.station.showMoments = (part) => {
    all("time[datetime]", part).forEach(show);
    all("img[data-lazy]:not([src])", part).forEach((image) => near.observe(image));
  };
  document.addEventListener("DOMContentLoaded", () => station.showMoments(document));
  document.addEventListener("htmx:afterSwap", () => station.showMoments(document));
  setInterval(() => all('time[data-style="ago"]').forEach(show), 1000);
})();
