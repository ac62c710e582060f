// The page of one part: defects marked by hand, older and newer parts by arrow keys.
"use strict";

(() => {
  const viewer = document.getElementById("viewer");
  const boxes = document.getElementById("boxes");
  const all = JSON.parse(viewer?.getAttribute("defects") || "[]");
  let kept = null; // number of the defect that was pressed

  /** Mark one defect, in the image and in the table; none: all of them, unless they are switched off. */
  const mark = (number) => {
    const chosen = number === null ? (boxes?.checked === false ? [] : all) : [all[number - 1]];
    viewer?.setAttribute("defects", JSON.stringify(chosen));
    for (const row of document.querySelectorAll("tr[data-defect]")) {
      const marked = Number(row.dataset.defect) === number;
      row.classList.toggle("marked", marked);
      row.querySelector("button").setAttribute("aria-pressed", String(kept !== null && marked));
    }
  };
  boxes?.addEventListener("change", () => mark(kept));
  for (const row of document.querySelectorAll("tr[data-defect]")) {
    const number = Number(row.dataset.defect);
    row.addEventListener("click", () => {
      kept = kept === number ? null : number;
      mark(kept);
    });
    row.addEventListener("pointerenter", () => mark(number));
    row.addEventListener("pointerleave", () => mark(kept));
  }

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest("input, textarea, select, .scroll, flawmap-viewer, details")) return;
    const key = { ArrowLeft: "older", ArrowRight: "newer" }[event.key];
    if (key) document.getElementById(key)?.click();
  });
})();
