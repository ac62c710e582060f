// Small helpers that every page uses. No inline scripts: the Content-Security-Policy forbids them.
"use strict";

(() => {
  const root = document.documentElement;

  // theme: the system's, or the person's choice
  const chosen = localStorage.getItem("theme");
  if (chosen) root.dataset.theme = chosen;
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  });

  // the CSRF token goes with every request that htmx or `send` makes
  const token = document.querySelector('meta[name="csrf"]')?.content ?? "";
  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRF-Token"] = token;
  });

  window.station = {
    /** Fetch from the API with the CSRF token; throws an Error with the server's message. */
    async send(method, path, body) {
      const answer = await fetch(path, {
        method,
        headers: { "X-CSRF-Token": token, "Content-Type": "application/json" },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await answer.text();
      const value = text ? JSON.parse(text) : null;
      if (!answer.ok) throw new Error(value?.detail ?? `The server answered ${answer.status}.`);
      return value;
    },
  };

  // moments in the person's own time zone
  const show = (element) => {
    const time = new Date(element.dateTime);
    element.textContent = time.toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
    element.title = time.toISOString();
  };
  const showAll = (part) => part.querySelectorAll("time[datetime]").forEach(show);
  document.addEventListener("DOMContentLoaded", () => showAll(document));
  document.addEventListener("htmx:afterSwap", (event) => showAll(event.target));
})();
