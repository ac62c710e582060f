// Heat maps over thumbnails: loaded when they are switched on, remembered for the next page.
"use strict";

(() => {
  const switches = document.querySelectorAll("[data-heat-switch]");
  let on = localStorage.getItem("heat") === "on";

  const apply = (part) => {
    for (const image of part.querySelectorAll("img.heat[data-src]")) {
      if (on && !image.src) image.src = image.dataset.src;
      image.hidden = !on;
    }
  };
  for (const one of switches) {
    one.checked = on;
    one.addEventListener("change", () => {
      on = one.checked;
      localStorage.setItem("heat", on ? "on" : "off");
      apply(document);
    });
  }
  apply(document);
  document.addEventListener("htmx:afterSwap", () => apply(document));
  station.applyHeat = apply;
})();
