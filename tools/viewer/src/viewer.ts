/**
 * <flawmap-viewer src heat defects drawn types width height drawable label>: an image with heat map
 * and defects; zoom, pan, and drawing. See docs/station/review.md.
 *
 * Events: `flawmap-shown` when an image is painted first, `flawmap-draw` with a drawn defect as
 * detail when it is kept, `flawmap-failed` with a message.
 */

import { paint } from "./paint";
import { load, type Pyramid, release } from "./pyramid";
import { type Drawn, maskOf, type Stroke } from "./shapes";
import { type Actions, type State, toolbar } from "./toolbar";
import { fit, keepInside, pan, type Point, type Size, toImage, type View, zoomAt } from "./view";

const STEP = 64; // CSS pixels that an arrow key moves the image by
type Boxes = [number, number, number, number][];

class Viewer extends HTMLElement implements Actions {
  static observedAttributes = ["src", "heat", "defects", "drawn", "types", "width", "height", "drawable"];

  /** Load images in advance. */
  static prefetch(...urls: (string | null)[]): Promise<unknown> {
    return Promise.allSettled(urls.filter((url) => url !== null).map((url) => load(url)));
  }

  #canvas = document.createElement("canvas");
  #toolbar = toolbar(this);
  #box: Size = { width: 1, height: 1 };
  #view: View | null = null; // none: the whole image
  #layers: Record<"src" | "heat", { url: string | null; pyramid: Pyramid | null }> = {
    src: { url: null, pyramid: null },
    heat: { url: null, pyramid: null },
  };
  #boxes: Boxes = [];
  #drawn: Drawn[] = [];
  #strokes: Stroke[] = [];
  #points: Point[] = [];
  #cursor: Point | null = null;
  #pointers = new Map<number, Point>();
  #moved = false;
  #asked = 0;
  #shown = true;
  #resized = new ResizeObserver(() => this.#measure());
  #state: State = {
    heat: false,
    opacity: 0.7,
    drawable: false,
    tool: "pan",
    brush: 24,
    type: "",
    types: [],
    open: false,
  };

  connectedCallback(): void {
    if (!this.#canvas.parentNode) {
      this.#canvas.tabIndex = 0;
      this.#canvas.setAttribute("role", "application");
      this.#listen();
      this.append(this.#canvas, this.#toolbar[0]);
    }
    const label = this.getAttribute("label") ?? "Image of the part";
    this.#canvas.setAttribute("aria-label", `${label}: + and − zoom, 0 shows it whole, arrows move`);
    this.#resized.observe(this.#canvas);
    this.#load("src");
    this.#load("heat");
    this.set({});
  }

  disconnectedCallback(): void {
    this.#resized.disconnect();
    for (const layer of Object.values(this.#layers)) {
      if (layer.url) release(layer.url);
      [layer.url, layer.pyramid] = [null, null];
    }
  }

  attributeChangedCallback(name: string, _before: string | null, text: string | null): void {
    if (name === "src" || name === "heat") this.#load(name);
    else if (name === "defects")
      this.#boxes = (JSON.parse(text || "[]") as (number[] | { box: number[] })[]).map((one) =>
        Array.isArray(one) ? one : one.box,
      ) as Boxes;
    else if (name === "drawn") this.#drawn = JSON.parse(text || "[]") as Drawn[];
    else if (name === "types") this.set({ types: JSON.parse(text || "[]") as string[] });
    else if (name === "drawable") this.set({ drawable: text !== null });
    this.#paint();
  }

  get #image(): Size {
    const pyramid = this.#layers.src.pyramid;
    const given = (name: string) => +(this.getAttribute(name) ?? 0);
    return {
      width: given("width") || pyramid?.width || 1,
      height: given("height") || pyramid?.height || 1,
    };
  }

  async #load(name: "src" | "heat"): Promise<void> {
    const [layer, url] = [this.#layers[name], this.getAttribute(name)];
    if (!this.isConnected || layer.url === url) return;
    if (layer.url) release(layer.url);
    [layer.url, layer.pyramid] = [url, null];
    if (name === "src") {
      [this.#view, this.#shown] = [null, false];
      this.discard();
    } else this.set({ heat: url !== null });
    this.#paint();
    if (!url) return;
    try {
      const pyramid = await load(url, 1);
      if (layer.url !== url) return;
      layer.pyramid = pyramid;
      this.#paint();
    } catch (error) {
      if (layer.url === url) this.#tell("failed", (error as Error).message);
    }
  }

  #tell(name: string, detail?: unknown): void {
    this.dispatchEvent(new CustomEvent(`flawmap-${name}`, { detail, bubbles: true }));
  }

  #measure(): void {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    this.#box = { width, height };
    this.#canvas.width = Math.round(width * devicePixelRatio);
    this.#canvas.height = Math.round(height * devicePixelRatio);
    if (this.#view) this.#view = keepInside(this.#view, this.#image, this.#box);
    this.#paintNow();
  }

  get #seen(): View {
    return this.#view ?? fit(this.#image, this.#box);
  }

  #paint(): void {
    this.#asked ||= requestAnimationFrame(() => this.#paintNow());
  }

  #paintNow(): void {
    this.#asked = 0;
    const { src, heat } = this.#layers;
    const drawing = this.#state.tool !== "pan";
    paint(this.#canvas, this.#box, {
      view: this.#seen,
      image: this.#image,
      picture: src.pyramid,
      heat: heat.pyramid,
      opacity: this.#state.opacity,
      boxes: this.#boxes,
      drawn: this.#drawn,
      strokes: this.#strokes,
      points: this.#points,
      cursor: drawing ? this.#cursor : null,
      brush: this.#state.tool === "polygon" ? 0 : this.#state.brush,
    });
    if (this.#shown || !src.pyramid) return;
    this.#shown = true;
    this.#tell("shown", src.url);
  }

  // what the toolbar and pages call

  zoom(factor: number, at: Point = { x: this.#box.width / 2, y: this.#box.height / 2 }): void {
    this.#view = zoomAt(this.#seen, factor, at, this.#image, this.#box);
    this.#paint();
  }

  fit(): void {
    this.#view = null;
    this.#paint();
  }

  move(dx: number, dy: number): void {
    this.#view = pan(this.#seen, dx, dy, this.#image, this.#box);
    this.#paint();
  }

  get tool(): State["tool"] {
    return this.#state.tool;
  }

  get type(): string {
    return this.#state.type;
  }

  get open(): boolean {
    return this.#strokes.length + this.#points.length > 0;
  }

  get opacity(): number {
    return this.#state.opacity;
  }

  set(values: Partial<State>): void {
    const before = this.#state.tool;
    Object.assign(this.#state, values);
    const polygon = this.#state.tool === "polygon";
    if (this.#state.tool !== before && polygon !== (before === "polygon") && this.open) this.keep();
    this.#state.open = this.open;
    this.dataset.tool = this.#state.tool;
    this.#toolbar[1](this.#state);
    this.#paint();
  }

  /** Take the last stroke or corner back. */
  undo(): void {
    (this.#points.length ? this.#points : this.#strokes).pop();
    this.set({});
  }

  discard(): void {
    [this.#points, this.#strokes] = [[], []];
    this.set({});
  }

  /** Hand over what is drawn as `flawmap-draw`. */
  keep(): void {
    const type = this.#state.type.trim() || "defect";
    const round = (value: number) => Math.round(value * 10) / 10;
    const points = this.#points.map(({ x, y }): [number, number] => [round(x), round(y)]);
    const mask = maskOf(this.#strokes, this.#image, type);
    if (points.length > 2) this.#tell("draw", { type, shape: "polygon", geometry: { points } });
    if (mask) this.#tell("draw", mask);
    this.discard();
  }

  // pointers and keys

  #at(event: MouseEvent): Point {
    const { left, top } = this.#canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  #listen(): void {
    const canvas = this.#canvas;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 15 : 400)), this.#at(event));
    });
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"] as const)
      canvas.addEventListener(name, (event) => this.#up(event));
    canvas.addEventListener("dblclick", () => {
      if (this.tool === "polygon") this.keep();
      else if (this.tool === "pan") this.fit();
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #down(event: PointerEvent): void {
    if (event.button > 1) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#at(event));
    this.#moved = false;
    if (this.#pointers.size > 1) this.#strokes = this.#strokes.filter(({ points }) => points.length > 3);
    else if (event.button === 0) this.#press(toImage(this.#seen, this.#at(event), this.#image), false);
  }

  /** Begin a stroke; corners of a polygon are set when the pointer goes up, or by key. */
  #press(at: Point, byKey: boolean): void {
    const { tool, brush } = this.#state;
    this.#cursor = at;
    if (tool === "polygon" && byKey) this.#points.push(at);
    else if (tool === "brush" || tool === "eraser")
      this.#strokes.push({ points: [at], width: brush, erases: tool === "eraser" });
    this.set({});
  }

  #move(event: PointerEvent): void {
    const before = this.#pointers.get(event.pointerId);
    const at = this.#at(event);
    this.#cursor = toImage(this.#seen, at, this.#image);
    if (!before) return this.#state.tool === "pan" ? undefined : this.#paint();
    if (Math.abs(at.x - before.x) + Math.abs(at.y - before.y) < (this.#moved ? 0.1 : 4)) return;
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#moved = true;
    this.#pointers.set(event.pointerId, at);
    if (other) {
      const far = (one: Point) => Math.hypot(one.x - other.x, one.y - other.y) || 1;
      this.zoom(far(at) / far(before), { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 });
      this.move((at.x - before.x) / 2, (at.y - before.y) / 2);
    } else if (this.tool === "brush" || this.tool === "eraser") {
      this.#strokes[this.#strokes.length - 1]?.points.push(this.#cursor);
      this.#paint();
    } else this.move(at.x - before.x, at.y - before.y);
  }

  #up(event: PointerEvent): void {
    if (!this.#pointers.delete(event.pointerId) || this.#moved || this.tool !== "polygon") return;
    if (event.type === "pointerup" && event.detail < 2)
      this.#press(toImage(this.#seen, this.#at(event), this.#image), true);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const drawing = this.tool !== "pan";
    if (arrow) this.#arrow(arrow[0], arrow[1], drawing, event.shiftKey);
    else if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else if (event.key === "0") this.fit();
    else if (!drawing) return;
    else if (event.key === " ") this.#press(this.#cursor ?? this.#middle(), true);
    else if (event.key === "Enter") this.keep();
    else if (event.key === "Backspace") this.undo();
    else if (event.key === "Escape" && this.open) this.discard();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #middle(): Point {
    return toImage(this.#seen, { x: this.#box.width / 2, y: this.#box.height / 2 }, this.#image);
  }

  /** Move the image, or while drawing the cursor by 2 CSS pixels (with Shift 20). */
  #arrow(x: number, y: number, drawing: boolean, far: boolean): void {
    if (!drawing) return this.move(-x * STEP, -y * STEP);
    const { x: left, y: top } = this.#cursor ?? this.#middle();
    const step = (far ? 20 : 2) / this.#seen.scale;
    const [width, height] = [this.#image.width, this.#image.height];
    this.#cursor = {
      x: Math.min(Math.max(left + x * step, 0), width),
      y: Math.min(Math.max(top + y * step, 0), height),
    };
    this.#paint();
  }
}

customElements.define("flawmap-viewer", Viewer);
