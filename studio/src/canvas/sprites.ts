/** Masks as pictures to draw: one mask tinted in its own small canvas, and outlines as paths. */
import type { RLE } from "../api";
import { parseColor } from "../masks/colors";
import { rasterise, type Region } from "../masks/region";
import { boxOf, spansOf } from "../masks/rle";
import { toPath, trace } from "../masks/trace";

/** The largest bitmap made for one mask. */
const MOST_PIXELS = 16e6;
export const INSIDE = 112;
export const EDGE = 235;

export interface Sprite {
  canvas: HTMLCanvasElement;
  /** Where it lies in the picture. */
  x: number;
  y: number;
  width: number;
  height: number;
}

/** The scale at which a mask is worth rasterising at a zoom of `zoom` device pixels: a power of two, at most 1. */
export function displayScale(rle: RLE, zoom: number): number {
  let scale = zoom >= 1 ? 1 : 2 ** Math.ceil(Math.log2(zoom));
  const box = boxOf(spansOf(rle), rle.size[0]);
  if (!box) return scale;
  const area = (box[2] - box[0] + 1) * (box[3] - box[1] + 1);
  while (area * scale * scale > MOST_PIXELS) scale /= 2;
  return scale;
}

/** Writes a region's colour into `out`, a bitmap of `stride` pixels a row that lies at (left, top): inside pale, edges full.
 *
 * `thick` is the edges' width in pixels of the bitmap.
 */
export function tintInto(
  out: Uint32Array,
  left: number,
  top: number,
  stride: number,
  rows: number,
  region: Region,
  color: string,
  thick = 1,
): void {
  const [r, g, b] = parseColor(color);
  const rgb = (b << 16) | (g << 8) | r;
  const inside = ((INSIDE << 24) | rgb) >>> 0;
  const edge = ((EDGE << 24) | rgb) >>> 0;
  const { x, y, width, height, bits } = region;
  const down = thick * width;
  const x0 = Math.max(left, x);
  const x1 = Math.min(left + stride, x + width);
  const y0 = Math.max(top, y);
  const y1 = Math.min(top + rows, y + height);
  for (let row = y0; row < y1; row++) {
    const first = (row - y) * width - x;
    const place = (row - top) * stride - left;
    const rim = row < y + thick || row >= y + height - thick;
    for (let column = x0; column < x1; column++) {
      const at = first + column;
      if (!bits[at]) continue;
      const border =
        rim ||
        column < x + thick ||
        column >= x + width - thick ||
        !(bits[at - thick] & bits[at + thick] & bits[at - down] & bits[at + down]);
      out[place + column] = border ? edge : inside;
    }
  }
}

/** A mask in its colour, reduced by `scale`; null where it is empty. */
export function makeSprite(rle: RLE, color: string, scale: number): Sprite | null {
  const region = rasterise(spansOf(rle), ...rle.size, scale);
  if (!region.width || !region.height) return null;
  const canvas = document.createElement("canvas");
  canvas.width = region.width;
  canvas.height = region.height;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(region.width, region.height);
  tintInto(new Uint32Array(image.data.buffer), region.x, region.y, region.width, region.height, region, color);
  context.putImageData(image, 0, 0);
  return { canvas, x: region.x / scale, y: region.y / scale, width: region.width / scale, height: region.height / scale };
}

const recent = new Map<string, Sprite | null>();
const numbers = new WeakMap<RLE, number>();
let number = 0;

/** The same, remembered for the last few masks. */
export function sprite(rle: RLE, color: string, scale: number): Sprite | null {
  let of = numbers.get(rle);
  if (!of) numbers.set(rle, (of = ++number));
  const key = `${of} ${color} ${scale}`;
  let made = recent.get(key);
  if (made === undefined) made = makeSprite(rle, color, scale);
  recent.delete(key);
  recent.set(key, made);
  if (recent.size > 6) recent.delete(recent.keys().next().value!);
  return made;
}

const paths = new WeakMap<RLE, Map<number, Path2D>>();

/** A mask's outline in pixels of the picture, traced at `scale`. */
export function outline(rle: RLE, scale: number): Path2D {
  let known = paths.get(rle);
  if (!known) paths.set(rle, (known = new Map()));
  let path = known.get(scale);
  if (!path) known.set(scale, (path = toPath(trace(rasterise(spansOf(rle), ...rle.size, scale)), scale)));
  return path;
}
