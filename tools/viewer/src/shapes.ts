/** Drawn defects: polygons, and brush masks as run lengths in image pixels. */

import type { Point, Size } from "./view";

/** Pairs of numbers as [x, y, x, y, ...]. */
export interface Polygon {
  type: string;
  shape: "polygon";
  geometry: { points: [number, number][] };
}

/** `runs` is [start, length, ...] over pixels in rows from the top left; `size` [height, width]. */
export interface Mask {
  type: string;
  shape: "mask";
  geometry: { size: [number, number]; runs: number[] };
}

export type Drawn = (Polygon | Mask) & { id?: number };

/** A line of a brush `width` image pixels wide; one that erases takes away from lines before it. */
export interface Stroke {
  points: Point[];
  width: number;
  erases: boolean;
}

export interface Box extends Point, Size {}

/** The smallest box around all strokes that add, in whole pixels within the image. */
export function boxOf(strokes: Stroke[], image: Size): Box {
  let [left, top, right, bottom] = [image.width, image.height, 0, 0];
  for (const { points, width, erases } of strokes) {
    if (erases) continue;
    for (const { x, y } of points) {
      left = Math.min(left, x - width);
      top = Math.min(top, y - width);
      right = Math.max(right, x + width);
      bottom = Math.max(bottom, y + width);
    }
  }
  const x = Math.max(0, Math.floor(left));
  const y = Math.max(0, Math.floor(top));
  return {
    x,
    y,
    width: Math.max(0, Math.min(image.width, Math.ceil(right)) - x),
    height: Math.max(0, Math.min(image.height, Math.ceil(bottom)) - y),
  };
}

/** Run lengths of the pixels of `box` whose alpha (RGBA `data`) is at least one half. */
export function runsOf(data: Uint8ClampedArray, box: Box, image: Size): number[] {
  const runs: number[] = [];
  for (let row = 0; row < box.height; row++) {
    for (let column = 0; column < box.width; column++) {
      if (data[4 * (row * box.width + column) + 3] < 128) continue;
      const at = (box.y + row) * image.width + box.x + column;
      const last = runs.length - 2;
      if (last >= 0 && runs[last] + runs[last + 1] === at) runs[last + 1]++;
      else runs.push(at, 1);
    }
  }
  return runs;
}

type Canvas = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** Paint strokes; the context's transform maps image pixels. */
export function paintStrokes(context: Canvas, strokes: Stroke[]): void {
  context.lineCap = context.lineJoin = "round";
  for (const { points, width, erases } of strokes) {
    context.globalCompositeOperation = erases ? "destination-out" : "source-over";
    context.lineWidth = width;
    context.beginPath();
    for (const { x, y } of points) context.lineTo(x, y);
    if (points.length === 1) context.lineTo(points[0].x + 1e-3, points[0].y);
    context.stroke();
  }
  context.globalCompositeOperation = "source-over";
}

/** Return the mask of strokes, or nothing if they cover no pixel. */
export function maskOf(strokes: Stroke[], image: Size, type: string): Mask | null {
  const box = boxOf(strokes, image);
  if (!box.width || !box.height) return null;
  const context = new OffscreenCanvas(box.width, box.height).getContext("2d")!;
  context.translate(-box.x, -box.y);
  paintStrokes(context, strokes);
  const runs = runsOf(context.getImageData(0, 0, box.width, box.height).data, box, image);
  const size: [number, number] = [image.height, image.width];
  return runs.length ? { type, shape: "mask", geometry: { size, runs } } : null;
}
