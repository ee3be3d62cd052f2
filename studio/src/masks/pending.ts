/** The mask of an object that is being made. */
import type { RLE } from "../api/types";
import type { Item, Pending } from "../doc";
import { areaOf, boxOf, combine, rleOf, spansOf, type Spans } from "./rle";

const cache = new WeakMap<Pending, RLE | null>();

/** What the pending object covers now: its base and candidate, and the brush's work; null where it covers nothing. */
export function pendingMask(pending: Pending): RLE | null {
  const known = cache.get(pending);
  if (known !== undefined) return known;
  const parts = [pending.base, pending.candidates[pending.chosen]?.rle, pending.plus].filter((rle) => rle != null);
  let rle: RLE | null = null;
  if (parts.length === 1 && !pending.minus) rle = parts[0];
  else if (parts.length) {
    let spans: Spans = spansOf(parts[0]);
    for (const part of parts.slice(1)) spans = combine(spans, spansOf(part), "union");
    if (pending.minus) spans = combine(spans, spansOf(pending.minus), "subtract");
    rle = rleOf(spans, ...parts[0].size);
  }
  if (rle && !spansOf(rle).length) rle = null;
  cache.set(pending, rle);
  return rle;
}

/** Joins a mask to one part of a pending object and takes it from the other. */
export function withStroke(pending: Pending, stroke: RLE, erase: boolean): Pending {
  const add = (to: RLE | null) => (to ? rleOf(combine(spansOf(to), spansOf(stroke), "union"), ...stroke.size) : stroke);
  const take = (from: RLE | null) => {
    if (!from) return null;
    const spans = combine(spansOf(from), spansOf(stroke), "subtract");
    return spans.length ? rleOf(spans, ...stroke.size) : null;
  };
  return erase
    ? { ...pending, minus: add(pending.minus), plus: take(pending.plus) }
    : { ...pending, plus: add(pending.plus), minus: take(pending.minus) };
}

/** An item with another mask, its area and box made to fit; null where nothing is left of it. */
export function withMask(item: Omit<Item, "rle" | "area" | "box">, rle: RLE): Item | null {
  const spans = spansOf(rle);
  const box = boxOf(spans, rle.size[0]);
  return box && { ...item, rle, area: areaOf(spans), box };
}
