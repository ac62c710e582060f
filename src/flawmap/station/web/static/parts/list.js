// The list of parts: moments of the form in the person's time zone, in the address in UTC.
"use strict";

(() => {
  const two = (number) => String(number).padStart(2, "0");
  const local = (t) =>
    `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}T${two(t.getHours())}:${two(t.getMinutes())}`;
  const form = document.getElementById("search");
  for (const input of form.querySelectorAll("[data-moment]")) {
    const sent = form.elements[input.dataset.moment];
    if (sent.value) input.value = local(new Date(sent.value));
    input.addEventListener("change", () => {
      sent.value = input.value ? new Date(input.value).toISOString() : "";
    });
  }
  // an address names only what is searched for
  form.addEventListener("submit", () => {
    for (const element of form.elements)
      if (element.name && element.name !== "product" && !element.value) element.disabled = true;
  });
  window.addEventListener("pageshow", () => {
    for (const element of form.elements) element.disabled = false;
  });
})();
