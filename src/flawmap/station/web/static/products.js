// Images dropped for a product: each is sent and checked by itself; questions before what is final.
"use strict";

(() => {
  const AT_ONCE = 3;
  const SHOWN = 48;
  const NAMES = /\.(png|jpe?g|bmp|tiff?|webp)$/i;

  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  });

  const zone = document.querySelector(".dropzone");
  if (!zone) return;
  const form = zone.closest("form");
  const input = zone.querySelector("input[type=file]");
  const label = zone.querySelector(".drop");
  const go = form.querySelector("[data-go]");
  const fresh = zone.querySelector(".fresh");
  const refused = zone.querySelector(".refused");
  const bar = zone.querySelector("progress");
  const shown = zone.querySelector(".number-of");
  const token = document.querySelector('meta[name="csrf"]').content;
  const name = form.querySelector("input[name=name]");

  const trains = "train" in form.dataset;
  const isNew = zone.dataset.product === "";
  let product = isNew ? null : Promise.resolve(zone.dataset.product);
  const waiting = [];
  const count = { all: 0, done: 0, added: 0, known: 0, refused: 0 };
  let running = 0;

  const say = () => {
    bar.max = count.all;
    bar.value = count.done;
    const words = [`${count.done} of ${count.all} checked`];
    if (count.known) words.push(`${count.known} there already`);
    if (count.refused) words.push(`${count.refused} not taken`);
    shown.textContent = words.join(", ");
    if (go) {
      const missing = Number(zone.dataset.least) - count.added;
      go.disabled = running > 0 || waiting.length > 0;
      go.textContent = trains && missing <= 0 ? "Train" : "Go on";
    }
  };

  const show = (file) => {
    if (fresh.children.length >= SHOWN) fresh.firstElementChild.remove();
    const image = document.createElement("img");
    image.alt = file.name;
    image.src = URL.createObjectURL(file);
    image.addEventListener("load", () => URL.revokeObjectURL(image.src));
    image.addEventListener("error", () => image.remove()); // such as TIFF, which browsers cannot show
    const item = document.createElement("li");
    item.append(image);
    fresh.append(item);
  };

  const refuse = (file, why) => {
    count.refused += 1;
    const item = document.createElement("li");
    item.textContent = `${file.name}: ${why}`;
    refused.querySelector("ul").append(item);
    refused.querySelector("summary").textContent = `${count.refused} not taken`;
    refused.hidden = false;
  };

  const made = () => {
    product ??= station.send("POST", "/api/v1/products", { name: name.value }).then(
      (answer) => {
        name.disabled = true;
        return answer.id;
      },
      (error) => {
        product = null;
        throw error;
      },
    );
    return product;
  };

  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

  const sendOne = async (file, id) => {
    for (;;) {
      const body = new FormData();
      body.append("images", file);
      const path = `/api/v1/products/${id}/images`;
      const answer = await fetch(path, { method: "POST", headers: { "X-CSRF-Token": token }, body });
      if (answer.status === 503) {
        await pause(Number(answer.headers.get("Retry-After")) || 1);
        continue;
      }
      const found = await answer.json();
      if (!answer.ok) return refuse(file, found.detail);
      count.added += found.ids.length;
      count.known += found.known.length;
      if (found.refused[0]) return refuse(file, found.refused[0]);
      if (found.ids.length) show(file);
      return undefined;
    }
  };

  const work = async (id) => {
    running += 1;
    while (waiting.length) {
      const file = waiting.shift();
      try {
        await sendOne(file, id);
      } catch {
        refuse(file, "the station does not answer");
      }
      count.done += 1;
      say();
    }
    running -= 1;
    say();
    if (running === 0) ended();
  };

  const ended = () => {
    if (!isNew && count.added && !count.refused) location.reload();
    else if (count.all) station.say(`${count.added} image${count.added === 1 ? "" : "s"} added.`);
  };

  const take = async (files) => {
    const images = [...files].filter((file) => NAMES.test(file.name));
    const others = files.length - images.length;
    if (others) station.say(`${others} file${others === 1 ? " is no image" : "s are no images"}.`, true);
    if (!images.length) return;
    zone.querySelector(".uploading").hidden = false;
    count.all += images.length;
    waiting.push(...images);
    say();
    let id;
    try {
      id = await made();
    } catch (error) {
      waiting.length = 0;
      count.all = count.done;
      station.say(error.message, true);
      say();
      return;
    }
    while (running < AT_ONCE && waiting.length > 0) work(id);
  };

  const filesOf = async (entry) => {
    if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!some.length) return found;
      for (const one of some) found.push(...(await filesOf(one)));
    }
  };

  const dropped = async (transfer) => {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.some((one) => one.isDirectory)) return take([...transfer.files]);
    const files = [];
    for (const entry of entries) files.push(...(await filesOf(entry)));
    return take(files);
  };

  for (const kind of ["dragenter", "dragover"])
    document.addEventListener(kind, (event) => {
      event.preventDefault(); // a file dropped beside the zone would replace the page
      label.classList.toggle("over", label.contains(event.target));
    });
  document.addEventListener("dragleave", () => label.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    label.classList.remove("over");
    if (event.dataTransfer?.files.length) dropped(event.dataTransfer);
  });
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const id = await made();
      if (isNew && trains && count.added >= Number(zone.dataset.least))
        await station.send("POST", `/api/v1/products/${id}/trainings`, {});
      location.assign(`/products/${id}`);
    } catch (error) {
      station.say(error.message, true);
    }
  });
})();
