/** Run lengths as COCO compresses them, and masks as spans.
 *
 * Spans are the mask's runs as positions in the column-by-column order of RLE: `[start, end, start, end, ...]`, sorted,
 * none empty, none touching the next. All of set arithmetic works on them, so masks of 100 megapixels cost what their
 * outline costs.
 */
import type { RLE } from "../api/types";

export type Spans = Uint32Array;

const cache = new WeakMap<object, Spans>();

/** The spans of an RLE; remembered as long as the RLE object lives. */
export function spansOf(rle: RLE): Spans {
  let spans = cache.get(rle);
  if (!spans) cache.set(rle, (spans = toSpans(unpack(rle.counts))));
  return spans;
}

/** The RLE of spans in a picture of `height` x `width`. */
export function rleOf(spans: Spans, height: number, width: number): RLE {
  const rle: RLE = { size: [height, width], counts: pack(toCounts(spans, height * width)) };
  cache.set(rle, spans);
  return rle;
}

/** The run lengths in a compressed string, background first (pycocotools' rleFrString). Lists pass through. */
export function unpack(text: string | number[]): number[] {
  if (Array.isArray(text)) return text;
  const counts: number[] = [];
  let value = 0;
  let shift = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index) - 48;
    value |= shift < 32 ? (code & 31) << shift : 0;
    shift += 5;
    if (code & 32) continue;
    if (code & 16 && shift < 32) value |= -1 << shift;
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
    value = shift = 0;
  }
  return counts;
}

/** The compressed string of run lengths (pycocotools' rleToString). */
export function pack(counts: ArrayLike<number>): string {
  const codes: number[] = [];
  let text = "";
  for (let index = 0; index < counts.length; index++) {
    let value = index > 2 ? counts[index] - counts[index - 2] : counts[index];
    for (let more = true; more; ) {
      let code = value & 31;
      value >>= 5;
      more = code & 16 ? value !== -1 : value !== 0;
      if (more) code |= 32;
      codes.push(code + 48);
    }
    if (codes.length > 4096) {
      text += String.fromCharCode(...codes);
      codes.length = 0;
    }
  }
  return text + String.fromCharCode(...codes);
}

/** Run lengths, background first, to spans. */
export function toSpans(counts: ArrayLike<number>): Spans {
  const spans = new Uint32Array(counts.length + 1);
  let position = 0;
  let length = 0;
  for (let index = 0; index + 1 < counts.length; index += 2) {
    const start = position + counts[index];
    position = start + counts[index + 1];
    if (position === start) continue;
    if (length && spans[length - 1] === start) spans[length - 1] = position;
    else {
      spans[length++] = start;
      spans[length++] = position;
    }
  }
  return spans.slice(0, length);
}

/** Spans to run lengths that add up to `total`. */
export function toCounts(spans: Spans, total: number): number[] {
  const counts: number[] = [];
  let position = 0;
  for (const edge of spans) {
    counts.push(edge - position);
    position = edge;
  }
  if (position < total || !counts.length) counts.push(total - position);
  return counts;
}

export type Operation = "union" | "subtract" | "intersect";

/** Two masks of the same picture combined. */
export function combine(a: Spans, b: Spans, operation: Operation): Spans {
  const out = new Uint32Array(a.length + b.length);
  let i = 0;
  let j = 0;
  let length = 0;
  let inside = false;
  while (i < a.length || j < b.length) {
    const edge = j >= b.length || (i < a.length && a[i] <= b[j]) ? a[i] : b[j];
    if (i < a.length && a[i] === edge) i++;
    if (j < b.length && b[j] === edge) j++;
    const inA = (i & 1) === 1;
    const inB = (j & 1) === 1;
    const now = operation === "union" ? inA || inB : operation === "subtract" ? inA && !inB : inA && inB;
    if (now !== inside) {
      out[length++] = edge;
      inside = now;
    }
  }
  return out.slice(0, length);
}

/** The number of pixels. */
export function areaOf(spans: Spans): number {
  let area = 0;
  for (let index = 0; index < spans.length; index += 2) area += spans[index + 1] - spans[index];
  return area;
}

/** Whether the pixel (x, y) is in the mask. */
export function contains(spans: Spans, height: number, x: number, y: number): boolean {
  const position = x * height + y;
  let low = 0;
  let high = spans.length;
  // The number of edges at or before the position: odd inside.
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle] <= position) low = middle + 1;
    else high = middle;
  }
  return (low & 1) === 1;
}

/** The box around the mask: x0, y0 and the last column and row (inclusive), or null where it is empty. */
export function boxOf(spans: Spans, height: number): [number, number, number, number] | null {
  if (!spans.length) return null;
  const x0 = Math.floor(spans[0] / height);
  const x1 = Math.floor((spans[spans.length - 1] - 1) / height);
  let y0 = height;
  let y1 = 0;
  for (let index = 0; index < spans.length; index += 2) {
    const first = spans[index];
    const last = spans[index + 1] - 1;
    const column = Math.floor(first / height);
    if (last >= (column + 1) * height) return [x0, 0, x1, height - 1];
    y0 = Math.min(y0, first - column * height);
    y1 = Math.max(y1, last - column * height);
  }
  return [x0, y0, x1, y1];
}

/** The mask of a whole box (inclusive), for tests and for boxes without a model. */
export function boxSpans(x0: number, y0: number, x1: number, y1: number, height: number): Spans {
  const counts: number[] = [];
  let position = 0;
  for (let x = x0; x <= x1; x++) {
    counts.push(x * height + y0 - position, y1 - y0 + 1);
    position = x * height + y1 + 1;
  }
  return toSpans(counts);
}
