/** Painting: the image's visible part, heat, outlines of defects, and what is being drawn. */

import type { Pyramid } from "./pyramid";
import { type Drawn, type Mask, paintStrokes, type Stroke } from "./shapes";
import type { Point, Size, View } from "./view";

const FOUND = "#ff46eb"; // outline of what the inspector marked; as in reports
const DRAWN = "#40f082"; // of what people drew
const RIM = "rgb(0 0 0 / 65%)";

export interface Scene {
  view: View;
  image: Size;
  picture: Pyramid | null;
  heat: Pyramid | null;
  opacity: number; // of the heat map; 0 when it is off
  boxes: [number, number, number, number][];
  drawn: Drawn[];
  strokes: Stroke[];
  points: Point[]; // of the polygon that is being drawn
  cursor: Point | null; // image point of the drawing cursor
  brush: number; // its diameter in image pixels; 0 for none
}

/** Paint a scene on a canvas whose size in CSS pixels is `box`. */
export function paint(canvas: HTMLCanvasElement, box: Size, scene: Scene): void {
  const ratio = devicePixelRatio;
  const context = canvas.getContext("2d")!;
  const { view } = scene;
  const place = (point: Point) => placed(view, point);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, box.width, box.height);
  paintLayer(context, scene.picture, scene, box, ratio);
  context.globalAlpha = scene.opacity;
  if (scene.opacity) paintLayer(context, scene.heat, scene, box, ratio);
  context.globalAlpha = 1;
  scene.boxes.forEach(([x, y, width, height], index) => {
    const [left, top] = place({ x, y });
    outline(context, FOUND, () => context.rect(left, top, width * view.scale, height * view.scale));
    label(context, FOUND, `${index + 1}`, left, top);
  });
  for (const one of scene.drawn) {
    if (one.shape === "polygon") {
      const corners = one.geometry.points.map(([x, y]) => place({ x, y }));
      outline(context, DRAWN, () => trace(context, corners, true));
      label(context, DRAWN, one.type, ...corners[0]);
    } else paintMask(context, one, view);
  }
  if (scene.strokes.length) paintOpenStrokes(context, box, ratio, scene);
  const corners = scene.points.map(place);
  if (corners.length) {
    if (scene.cursor) corners.push(place(scene.cursor));
    outline(context, DRAWN, () => trace(context, corners, false));
    for (const [x, y] of corners) outline(context, DRAWN, () => context.rect(x - 3, y - 3, 6, 6));
  }
  if (scene.cursor) {
    const [x, y] = place(scene.cursor);
    const radius = Math.max((scene.brush * view.scale) / 2, 4);
    outline(context, "#fff", () => context.arc(x, y, radius, 0, 7));
  }
}

/** Place a point of the image in the box. */
function placed(view: View, { x, y }: Point): [number, number] {
  return [view.x + x * view.scale, view.y + y * view.scale];
}

/** Draw the part of a layer that is in the box, from the copy that is just fine enough. */
function paintLayer(on: CanvasRenderingContext2D, layer: Pyramid | null, scene: Scene, box: Size, ratio: number): void {
  if (!layer) return;
  const { view, image } = scene;
  const across = layer.width / image.width; // layer pixels per image pixel: a heat map may be coarser
  const per = (view.scale * ratio) / across; // device pixels per layer pixel
  const level = Math.min(Math.max(0, Math.floor(-Math.log2(per))), layer.levels.length - 1);
  const bitmap = layer.levels[level];
  const left = Math.max(0, -view.x / view.scale);
  const top = Math.max(0, -view.y / view.scale);
  const width = Math.min(image.width - left, box.width / view.scale);
  const height = Math.min(image.height - top, box.height / view.scale);
  const [kx, ky] = [bitmap.width / image.width, bitmap.height / image.height];
  on.imageSmoothingEnabled = per < 3 || across < 1;
  on.drawImage(
    bitmap,
    left * kx,
    top * ky,
    width * kx,
    height * ky,
    ...placed(view, { x: left, y: top }),
    width * view.scale,
    height * view.scale,
  );
}

function trace(context: CanvasRenderingContext2D, points: [number, number][], close: boolean): void {
  for (const [x, y] of points) context.lineTo(x, y);
  if (close) context.closePath();
}

/** Stroke a path in colour with a dark rim, so that it is seen on any image. */
function outline(context: CanvasRenderingContext2D, colour: string, path: () => void): void {
  context.beginPath();
  path();
  for (const [style, width] of [[RIM, 4], [colour, 2]] as const) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
}

function label(c: CanvasRenderingContext2D, colour: string, text: string, x: number, y: number): void {
  c.font = "600 14px system-ui, sans-serif";
  const width = c.measureText(text).width + 8;
  const top = Math.max(y - 20, 0);
  c.fillStyle = colour;
  c.fillRect(x, top, width, 20);
  c.fillStyle = "#000";
  c.fillText(text, x + 4, top + 15);
}

const masks = new WeakMap<Mask, { canvas: OffscreenCanvas; x: number; y: number }>();

/** Paint a brush mask from its run lengths; the tinted copy is made once. */
function paintMask(context: CanvasRenderingContext2D, mask: Mask, view: View): void {
  let copy = masks.get(mask);
  if (!copy) masks.set(mask, (copy = tinted(mask)));
  const { canvas, x, y } = copy;
  const [left, top] = [view.x + x * view.scale, view.y + y * view.scale];
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, left, top, canvas.width * view.scale, canvas.height * view.scale);
  label(context, DRAWN, mask.type, left, top);
}

function tinted({ geometry: { size, runs } }: Mask): { canvas: OffscreenCanvas; x: number; y: number } {
  const across = size[1];
  let [left, right] = [across, 0];
  const pieces: [number, number, number][] = []; // y, x, length: a run may go over the image's edge
  for (let i = 0; i < runs.length; i += 2)
    for (let at = runs[i], rest = runs[i + 1]; rest > 0; ) {
      const x = at % across;
      const length = Math.min(rest, across - x);
      pieces.push([Math.floor(at / across), x, length]);
      [left, right] = [Math.min(left, x), Math.max(right, x + length)];
      [at, rest] = [at + length, rest - length];
    }
  const y = pieces[0][0];
  const canvas = new OffscreenCanvas(right - left, pieces[pieces.length - 1][0] - y + 1);
  const context = canvas.getContext("2d")!;
  context.fillStyle = DRAWN;
  context.globalAlpha = 0.55;
  for (const [row, x, length] of pieces) context.fillRect(x - left, row - y, length, 1);
  return { canvas, x: left, y };
}

let layer: OffscreenCanvas | undefined;

/** Paint strokes on a layer of their own first: the eraser must not take the image away. */
function paintOpenStrokes(on: CanvasRenderingContext2D, box: Size, ratio: number, scene: Scene): void {
  const [width, height] = [Math.ceil(box.width * ratio), Math.ceil(box.height * ratio)];
  if (layer?.width !== width || layer.height !== height) layer = new OffscreenCanvas(width, height);
  const context = layer.getContext("2d")!;
  const scale = scene.view.scale * ratio;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  context.setTransform(scale, 0, 0, scale, scene.view.x * ratio, scene.view.y * ratio);
  context.strokeStyle = DRAWN;
  paintStrokes(context, scene.strokes);
  on.globalAlpha = 0.55;
  on.drawImage(layer, 0, 0, box.width, box.height);
  on.globalAlpha = 1;
}
