// What the pages on trends and thresholds share: the choice of a range.
"use strict";

(() => {
  const form = document.getElementById("range");
  if (!form) return;
  const two = (number) => String(number).padStart(2, "0");
  const local = (t) =>
    `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}T${two(t.getHours())}:${two(t.getMinutes())}`;
  const moments = [...form.querySelectorAll("[data-moment]")];
  for (const input of moments) input.value = local(new Date(Number(input.dataset.moment) / 1000));

  const details = form.querySelector("details");
  details.addEventListener("toggle", () => moments.forEach((input) => (input.disabled = !details.open)));

  /** Go to the address of the form, with moments in UTC. */
  const go = (custom) => {
    const values = new URLSearchParams();
    for (const [name, value] of new FormData(form))
      if (value && !["from", "to"].includes(name) && !(custom && name === "span")) values.set(name, value);
    const chosen = custom || "chosen" in details.dataset;
    for (const input of chosen ? moments : [])
      if (input.value) values.set(input.name, new Date(input.value).toISOString());
    location.search = values.toString();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go(true);
  });
  form.querySelector("[data-submit]")?.addEventListener("change", () => go(false));
})();
