/** Decoded images with halved copies, so that drawing 20 megapixels costs as much as one. */

import type { Size } from "./view";

/** `levels[i]` has the image's size divided by 2 to the power i. */
export interface Pyramid extends Size {
  levels: ImageBitmap[];
}

const SMALL = 1.5e6; // pixels; no copy below
const KEPT = 100e6; // pixels of all images that are kept
const cache = new Map<string, { pyramid: Promise<Pyramid>; pixels: number; users: number }>();

async function decode(url: string): Promise<Pyramid> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`The server answered ${answer.status} for the image.`);
  const full = await createImageBitmap(await answer.blob());
  const { width, height } = full;
  const levels = [full];
  for (let last = full; last.width * last.height > SMALL; levels.push(last))
    last = await createImageBitmap(last, {
      resizeWidth: last.width >> 1,
      resizeHeight: last.height >> 1,
      resizeQuality: "medium",
    });
  return { width, height, levels };
}

/** Load an image, or return the kept one; `users` counts viewers that show it. */
export function load(url: string, users = 0): Promise<Pyramid> {
  let kept = cache.get(url);
  if (!kept) {
    kept = { pyramid: decode(url), pixels: 0, users: 0 };
    const entry = kept;
    entry.pyramid.then(
      ({ width, height }) => {
        entry.pixels = width * height;
        evict();
      },
      () => cache.delete(url),
    );
  }
  kept.users += users;
  cache.delete(url);
  cache.set(url, kept); // the newest is last
  return kept.pyramid;
}

/** A viewer no longer shows the image. */
export function release(url: string): void {
  const kept = cache.get(url);
  if (kept) kept.users -= 1;
}

function evict(): void {
  let sum = 0;
  for (const { pixels } of cache.values()) sum += pixels;
  for (const [url, entry] of cache) {
    if (sum <= KEPT && cache.size <= 24) return;
    if (entry.users > 0 || !entry.pixels) continue;
    cache.delete(url);
    sum -= entry.pixels;
    void entry.pyramid.then(({ levels }) => levels.forEach((level) => level.close()));
  }
}
