/** Where an image lies in the box on the screen: the arithmetic of zoom and pan. */

export interface Point {
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

/** `scale` is CSS pixels per image pixel; `x`, `y` is the image's corner in the box, CSS pixels. */
export interface View extends Point {
  scale: number;
}

export const MOST = 40; // CSS pixels per image pixel

/** Show the whole image in the middle of the box; small images are not enlarged beyond 8 times. */
export function fit(image: Size, box: Size): View {
  const scale = Math.min(box.width / image.width, box.height / image.height, 8) || 1;
  return centred(scale, image, box);
}

function centred(scale: number, image: Size, box: Size): View {
  return {
    scale,
    x: (box.width - image.width * scale) / 2,
    y: (box.height - image.height * scale) / 2,
  };
}

/** Zoom by `factor` such that the image point below `at` stays there. */
export function zoomAt(view: View, factor: number, at: Point, image: Size, box: Size): View {
  const least = Math.min(fit(image, box).scale, 1);
  const scale = Math.min(Math.max(view.scale * factor, least), Math.max(MOST, least));
  const ratio = scale / view.scale;
  const moved = { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio };
  return keepInside(moved, image, box);
}

export function pan(view: View, dx: number, dy: number, image: Size, box: Size): View {
  return keepInside({ ...view, x: view.x + dx, y: view.y + dy }, image, box);
}

/** Centre what is smaller than the box; of what is larger, no edge comes inside the box. */
export function keepInside(view: View, image: Size, box: Size): View {
  const middle = centred(view.scale, image, box);
  return {
    scale: view.scale,
    x: middle.x >= 0 ? middle.x : Math.min(0, Math.max(view.x, 2 * middle.x)),
    y: middle.y >= 0 ? middle.y : Math.min(0, Math.max(view.y, 2 * middle.y)),
  };
}

/** The image point below a point of the box, within the image. */
export function toImage(view: View, at: Point, image: Size): Point {
  return {
    x: Math.min(Math.max((at.x - view.x) / view.scale, 0), image.width),
    y: Math.min(Math.max((at.y - view.y) / view.scale, 0), image.height),
  };
}
