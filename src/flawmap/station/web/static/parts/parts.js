// Heat maps over thumbnails: loaded when they are switched on, remembered for the next page.
"use strict";

(() => {
  const switches = document.querySelectorAll("[data-heat-switch]");
  let on = localStorage.getItem("heat") === "on";

  const overlay = (thumbnail) => {
    const heat = new Image(256, 256);
    heat.className = "heat";
    heat.alt = "";
    heat.src = thumbnail.dataset.lazy.replace("thumbnail", "heat.png?small=1");
    thumbnail.after(heat);
  };
  const apply = (part) => {
    for (const thumbnail of part.querySelectorAll("img[data-heat]")) {
      const heat = thumbnail.parentNode.querySelector(".heat");
      if (on && !heat) overlay(thumbnail);
      else if (heat) heat.hidden = !on;
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
