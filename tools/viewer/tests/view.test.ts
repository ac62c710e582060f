import { describe, expect, it } from "vitest";
import { boxOf, runsOf } from "../src/shapes";
import { fit, keepInside, toImage, zoomAt } from "../src/view";

const image = { width: 4000, height: 3000 };
const box = { width: 800, height: 500 };

describe("view", () => {
  it("fits the whole image and centres it", () => {
    const view = fit(image, box);
    expect(view.scale).toBeCloseTo(500 / 3000);
    expect(view.x * 2 + image.width * view.scale).toBeCloseTo(800);
    expect(view.y).toBeCloseTo(0);
  });

  it("keeps the point below the pointer when it zooms", () => {
    const at = { x: 420, y: 260 };
    const before = fit(image, box);
    const after = zoomAt(before, 6, at, image, box);
    const [one, two] = [toImage(before, at, image), toImage(after, at, image)];
    expect(two.x).toBeCloseTo(one.x);
    expect(two.y).toBeCloseTo(one.y);
  });

  it("lets no edge of a large image come inside the box", () => {
    const view = keepInside({ scale: 1, x: 300, y: -9000 }, image, box);
    expect(view).toEqual({ scale: 1, x: 0, y: 500 - 3000 });
  });

  it("never becomes smaller than the whole image", () => {
    const view = zoomAt(fit(image, box), 1e-6, { x: 0, y: 0 }, image, box);
    expect(view).toEqual(fit(image, box));
  });
});

describe("shapes", () => {
  it("joins neighbouring pixels into runs of the whole image", () => {
    const data = new Uint8ClampedArray(4 * 6);
    for (const pixel of [0, 1, 5]) data[4 * pixel + 3] = 200;
    expect(runsOf(data, { x: 2, y: 1, width: 3, height: 2 }, { width: 10, height: 9 })).toEqual([
      12, 2, 24, 1,
    ]);
  });

  it("takes the box of strokes that add, within the image", () => {
    const strokes = [
      { points: [{ x: 5, y: 6 }], width: 4, erases: false },
      { points: [{ x: 90, y: 90 }], width: 4, erases: true },
    ];
    expect(boxOf(strokes, { width: 8, height: 100 })).toEqual({ x: 1, y: 2, width: 7, height: 8 });
  });
});
