// People, keys and the API's reference: copying, asking before what cannot be taken back, filtering.
"use strict";

(() => {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const shown = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(shown.textContent);
      button.textContent = "Copied";
    } catch {
      // without TLS a page may not write to the clipboard: select the text instead
      getSelection().selectAllChildren(shown);
      button.textContent = "Press Ctrl+C";
    }
  });

  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  });

  // a role is set by the button that appears once another one is chosen
  for (const button of document.querySelectorAll("[data-when-changed]")) {
    const select = button.form.querySelector("select");
    const present = select.value;
    button.disabled = true;
    select.addEventListener("change", () => (button.disabled = select.value === present));
  }

  const filter = document.querySelector("[data-filter]");
  if (filter) {
    const all = [...document.querySelectorAll(`.${filter.dataset.filter}`)];
    const texts = all.map((one) => one.textContent.toLowerCase());
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      all.forEach((one, i) => (one.hidden = !words.every((word) => texts[i].includes(word))));
      for (const group of document.querySelectorAll("[data-filter-group]"))
        group.hidden = ![...group.querySelectorAll(".operation")].some((one) => !one.hidden);
      const shown = all.filter((one) => !one.hidden).length;
      document.getElementById("filtered").textContent = `${shown} of ${all.length} shown`;
    });
  }
})();
