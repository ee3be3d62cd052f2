/** Zoom and pan: screen = picture * scale + (x, y), in CSS pixels of the canvas. */
import { batch, signal } from "@preact/signals";
import { current, view } from "../state";
import { guest } from "./guest";

export const LARGEST = 64;
/** From this zoom on the picture's pixels are shown as squares. */
export const SQUARES = 3;
const MARGIN = 24;

/** The canvas' size in CSS pixels, and how many of the device's make one of them. */
export const viewport = signal({ width: 0, height: 0, ratio: 1 });

const remembered = new Map<string, { scale: number; x: number; y: number; fitted: boolean }>();
/** True while the view follows the window: until the person zooms or pans. */
let fitted = true;

/** Width and height of what is shown, in its pixels; null where nothing is. */
export function size(): { width: number; height: number } | null {
  const info = guest.value ?? current.value?.info.value;
  return info ? { width: info.width, height: info.height } : null;
}

function key(): string | undefined {
  return guest.value?.key ?? current.value?.key;
}

function fitScale(width: number, height: number): number {
  const { width: w, height: h } = viewport.value;
  return Math.min(Math.max(40, w - 2 * MARGIN) / width, Math.max(40, h - 2 * MARGIN) / height);
}

/** The whole picture in the window; small ones are enlarged up to four times. */
export function fit(): void {
  const picture = size();
  if (!picture || !viewport.value.width) return;
  const scale = Math.min(4, fitScale(picture.width, picture.height));
  fitted = true;
  place(scale, (viewport.value.width - picture.width * scale) / 2, (viewport.value.height - picture.height * scale) / 2);
}

/** Zooms so that the picture's point under (x, y) of the canvas stays there; without a point, the middle. */
export function zoomTo(scale: number, x = viewport.value.width / 2, y = viewport.value.height / 2): void {
  const picture = size();
  if (!picture) return;
  const least = Math.min(0.05, fitScale(picture.width, picture.height) / 2);
  const next = Math.min(LARGEST, Math.max(least, scale));
  const now = view.value;
  fitted = false;
  place(next, x - ((x - now.x) / now.scale) * next, y - ((y - now.y) / now.scale) * next);
}

export function zoomBy(factor: number, x?: number, y?: number): void {
  zoomTo(view.value.scale * factor, x, y);
}

export function pan(dx: number, dy: number): void {
  const now = view.value;
  fitted = false;
  place(now.scale, now.x + dx, now.y + dy);
}

/** Sets the view, and never lets the picture out of sight. */
function place(scale: number, x: number, y: number): void {
  const picture = size();
  if (picture) {
    const rest = 48;
    x = Math.min(viewport.value.width - rest, Math.max(rest - picture.width * scale, x));
    y = Math.min(viewport.value.height - rest, Math.max(rest - picture.height * scale, y));
  }
  view.value = { scale, x, y };
  const of = key();
  if (of) remembered.set(of, { scale, x, y, fitted });
}

/** After the window changed its size: fits again, or keeps the middle where it was. */
export function resized(width: number, height: number, ratio: number): void {
  const before = viewport.value;
  batch(() => {
    viewport.value = { width, height, ratio };
    if (fitted || !before.width) fit();
    else place(view.value.scale, view.value.x + (width - before.width) / 2, view.value.y + (height - before.height) / 2);
  });
}

/** After another picture was chosen: as it was left, or fitted. */
export function recall(): void {
  const known = remembered.get(key() ?? "");
  if (!known || known.fitted) return fit();
  fitted = false;
  view.value = { scale: known.scale, x: known.x, y: known.y };
}

/** The place in the picture under (x, y) of the canvas. */
export function toPicture(x: number, y: number): [number, number] {
  const now = view.value;
  return [(x - now.x) / now.scale, (y - now.y) / now.scale];
}

/** The pixel under (x, y) of the canvas, or null outside of the picture. */
export function pixelAt(x: number, y: number): [number, number] | null {
  const picture = size();
  if (!picture) return null;
  const [px, py] = toPicture(x, y).map(Math.floor);
  return px >= 0 && py >= 0 && px < picture.width && py < picture.height ? [px, py] : null;
}

/** Moves the view so that the pixel is well inside the window. */
export function reveal(x: number, y: number): void {
  const now = view.value;
  const rim = Math.min(60, viewport.value.width / 4);
  const sx = x * now.scale + now.x;
  const sy = y * now.scale + now.y;
  const dx = sx < rim ? rim - sx : sx > viewport.value.width - rim ? viewport.value.width - rim - sx : 0;
  const dy = sy < rim ? rim - sy : sy > viewport.value.height - rim ? viewport.value.height - rim - sy : 0;
  if (dx || dy) pan(dx, dy);
}
