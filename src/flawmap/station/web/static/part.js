// The page of one part: opacity of the heat map, defects by hand, older and newer by arrow keys.
"use strict";

(() => {
  const heat = document.getElementById("heat");
  const opacity = document.getElementById("opacity");
  const output = document.querySelector('output[for="opacity"]');
  const boxes = document.getElementById("boxes");
  const stage = document.querySelector("svg.stage");

  const setOpacity = () => {
    heat.style.opacity = opacity.value / 100;
    output.textContent = `${opacity.value} %`;
    localStorage.setItem("opacity", opacity.value);
  };
  if (opacity && heat) {
    opacity.value = localStorage.getItem("opacity") ?? opacity.value;
    setOpacity();
    opacity.addEventListener("input", setOpacity);
  }
  boxes?.addEventListener("change", () => stage.classList.toggle("bare", !boxes.checked));

  // one defect at a time is marked, in the image and in the table
  const mark = (number) => {
    for (const one of document.querySelectorAll("[data-defect]")) {
      const marked = one.dataset.defect === number;
      one.classList.toggle("marked", marked);
      if (one.matches("button")) one.setAttribute("aria-pressed", String(marked));
    }
  };
  const chosen = (event) => event.target.closest("[data-defect]")?.dataset.defect;
  let kept = null;
  document.addEventListener("click", (event) => {
    const number = chosen(event);
    if (number === undefined) return;
    kept = kept === number ? null : number;
    mark(kept);
  });
  document.addEventListener("pointerover", (event) => {
    const number = chosen(event);
    if (number !== undefined) mark(number);
  });
  document.addEventListener("pointerout", (event) => chosen(event) && mark(kept));

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest("input, textarea, select, .scroll")) return;
    const key = { ArrowLeft: "older", ArrowRight: "newer" }[event.key];
    if (key) document.getElementById(key)?.click();
  });
})();
