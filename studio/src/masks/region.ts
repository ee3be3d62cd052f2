/** Bitmaps cut to their mask's box, at the picture's size or reduced. */
import { boxOf, toSpans, type Spans } from "./rle";

export interface Region {
  x: number;
  y: number;
  width: number;
  height: number;
  /** 0 or 1, row after row. */
  bits: Uint8Array;
}

/** The bitmap of a mask of a picture of `pictureHeight` x `pictureWidth`, reduced by `scale` (1: every pixel).
 *
 * A reduced pixel is the picture's pixel under its middle. Box and bits are in reduced pixels.
 */
export function rasterise(spans: Spans, pictureHeight: number, pictureWidth: number, scale = 1): Region {
  const box = boxOf(spans, pictureHeight);
  if (!box) return { x: 0, y: 0, width: 0, height: 0, bits: new Uint8Array(0) };
  if (scale === 1) return exact(spans, pictureHeight, box);
  const x0 = Math.max(0, Math.ceil(box[0] * scale - 0.5));
  const x1 = Math.min(Math.ceil(pictureWidth * scale), Math.ceil((box[2] + 1) * scale - 0.5));
  const y0 = Math.max(0, Math.ceil(box[1] * scale - 0.5));
  const y1 = Math.min(Math.ceil(pictureHeight * scale), Math.ceil((box[3] + 1) * scale - 0.5));
  const width = Math.max(0, x1 - x0);
  const height = Math.max(0, y1 - y0);
  const bits = new Uint8Array(width * height);
  let at = 0;
  for (let x = 0; x < width; x++) {
    const column = Math.min(pictureWidth - 1, Math.floor((x0 + x + 0.5) / scale)) * pictureHeight;
    const end = column + pictureHeight;
    while (at < spans.length && spans[at + 1] <= column) at += 2;
    for (let index = at; index < spans.length && spans[index] < end; index += 2) {
      const from = Math.max(0, Math.ceil((Math.max(column, spans[index]) - column) * scale - 0.5) - y0);
      const to = Math.min(height, Math.ceil((Math.min(end, spans[index + 1]) - column) * scale - 0.5) - y0);
      for (let y = from; y < to; y++) bits[y * width + x] = 1;
    }
  }
  return { x: x0, y: y0, width, height, bits };
}

function exact(spans: Spans, pictureHeight: number, [x0, y0, x1, y1]: [number, number, number, number]): Region {
  const width = x1 - x0 + 1;
  const height = y1 - y0 + 1;
  const bits = new Uint8Array(width * height);
  for (let index = 0; index < spans.length; index += 2) {
    let start = spans[index];
    const end = spans[index + 1];
    while (start < end) {
      const column = Math.floor(start / pictureHeight);
      const row = start - column * pictureHeight;
      const count = Math.min(end - start, pictureHeight - row);
      let place = (row - y0) * width + (column - x0);
      for (let n = 0; n < count; n++, place += width) bits[place] = 1;
      start += count;
    }
  }
  return { x: x0, y: y0, width, height, bits };
}

/** The spans of a bitmap that lies in a picture of the given height. */
export function regionSpans(region: Region, pictureHeight: number): Spans {
  const { x, y, width, height, bits } = region;
  const counts: number[] = [];
  let position = 0;
  for (let column = 0; column < width; column++) {
    const base = (x + column) * pictureHeight + y;
    for (let row = 0; row < height; ) {
      while (row < height && !bits[row * width + column]) row++;
      if (row >= height) break;
      const first = row;
      while (row < height && bits[row * width + column]) row++;
      counts.push(base + first - position, row - first);
      position = base + row;
    }
  }
  return toSpans(counts);
}
