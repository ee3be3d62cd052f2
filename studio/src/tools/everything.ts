/** Finding everything: masks as they are found, thinned by size and score, kept or given up. */
import { batch, computed, effect, signal } from "@preact/signals";
import { api, isAbort, type FoundMask } from "../api";
import { found, foundHovered } from "../canvas/scene";
import type { Painted } from "../canvas/layer";
import type { Item } from "../doc";
import { colorOf } from "../masks/colors";
import { contains, spansOf } from "../masks/rle";
import { withMask } from "../masks/pending";
import { change, current, doc, fail, model, pending, say, select, type Picture } from "../state";
import { withPicture } from "../pictures/upload";
import { keep } from "./prompt";

export interface Search {
  picture: Picture;
  state: "running" | "done";
  done: number;
  total: number;
  masks: FoundMask[];
}

export const search = signal<Search | null>(null);
/** The smallest share of the picture's area that a mask must cover; the lowest score. */
export const leastShare = signal(0);
export const leastScore = signal(0);

let control: AbortController | null = null;

/** The masks that pass the sliders, the smallest first: they lie on top. */
export const passing = computed<FoundMask[]>(() => {
  const now = search.value;
  const info = now?.picture.info.value;
  if (!now || !info) return [];
  const least = leastShare.value * info.width * info.height;
  return now.masks.filter((mask) => mask.area >= least && mask.score >= leastScore.value);
});

/** Starts the search in the current picture. */
export async function findEverything(options: Record<string, unknown> = {}): Promise<void> {
  const picture = current.value;
  if (!picture) return;
  if (pending.value) keep();
  stop();
  const own = (control = new AbortController());
  batch(() => {
    select([]);
    leastShare.value = 0;
    leastScore.value = 0;
    search.value = { picture, state: "running", done: 0, total: 0, masks: [] };
  });
  say("Looking for everything …");
  const masks = new Map<number, FoundMask>();
  let dirty = false;
  let progress = { done: 0, total: 0 };
  // Lines may come faster than frames; the page shows what there is once a frame.
  const flush = () => {
    dirty = false;
    if (control !== own || !search.value) return;
    search.value = { ...search.value, ...progress, masks: [...masks.values()].reverse() };
  };
  const soon = () => {
    if (!dirty) requestAnimationFrame(flush);
    dirty = true;
  };
  try {
    await withPicture(picture, async (id) => {
      masks.clear();
      for await (const line of api.everything(id, { model: model.value ?? undefined, ...options }, own.signal)) {
        if (line.type === "start") progress = { done: 0, total: line.total };
        else if (line.type === "progress") progress = { done: line.done, total: line.total };
        else if (line.type === "mask") masks.set(line.key, line);
        else if (line.type === "drop") line.keys.forEach((key) => masks.delete(key));
        else if (line.type === "error") throw new Error(line.error);
        else if (line.type === "done") {
          const kept = new Set(line.keys);
          for (const key of [...masks.keys()]) if (!kept.has(key)) masks.delete(key);
        }
        soon();
      }
    });
    if (control !== own) return;
    const final = [...masks.values()].sort((a, b) => a.area - b.area);
    search.value = { ...search.value!, state: "done", masks: final };
    say(`Found ${final.length} masks. Thin them with the sliders; Enter keeps them, Escape discards them.`);
  } catch (error) {
    if (isAbort(error) || control !== own) return;
    fail(error);
    // What was found until then is not lost.
    search.value = masks.size ? { ...search.value!, state: "done", masks: [...masks.values()] } : null;
  }
}

/** Cancels a running search but keeps on showing what it found; gives up the masks of one that is done. */
export function cancelSearch(): void {
  const now = search.value;
  if (!now) return;
  if (now.state === "running" && now.masks.length) {
    stop();
    search.value = { ...now, state: "done" };
    say(`Stopped; ${now.masks.length} masks were found so far.`);
  } else discardFound();
}

/** Gives up the search and what it found. */
export function discardFound(): void {
  stop();
  if (search.value) say("Discarded what was found.");
  search.value = null;
}

function stop(): void {
  control?.abort();
  control = null;
}

/** A mask that was found as an object; null when it is empty. */
function itemOf(mask: FoundMask, id: number): Item | null {
  const { rle, score, stability_score, point } = mask;
  return withMask({ id, name: "", color: colorOf(id - 1), score, stability_score, point, source: "everything" }, rle);
}

/** Makes objects of the masks that pass, below those that are there. */
export function keepFound(): void {
  const masks = passing.value;
  const now = search.value;
  if (!now || now.picture !== current.value) return;
  stop();
  const start = doc.value.next;
  const items: Item[] = [];
  masks.forEach((mask) => {
    const item = itemOf(mask, start + items.length);
    if (item) items.push(item);
  });
  change("Keep everything", (before) => ({ ...before, items: [...before.items, ...items], next: before.next + items.length }));
  search.value = null;
  select([]);
  say(`Kept ${items.length} objects.`);
}

/** The mask that was found under a pixel, the uppermost. */
export function foundAt(x: number, y: number): FoundMask | null {
  const height = current.value?.info.value?.height ?? 0;
  for (const mask of passing.value) {
    const [x0, y0, x1, y1] = mask.box;
    if (x >= x0 && x <= x1 && y >= y0 && y <= y1 && contains(spansOf(mask.rle), height, x, y)) return mask;
  }
  return null;
}

/** Makes an object of one of the masks that were found. */
export function keepOne(mask: FoundMask): void {
  const id = doc.value.next;
  const item = itemOf(mask, id);
  if (!item) return;
  change("Keep an object", (before) => ({ ...before, items: [item, ...before.items], next: id + 1 }));
  search.value = search.value && { ...search.value, masks: search.value.masks.filter((one) => one.key !== mask.key) };
  select([id]);
  say(`Kept object ${id}: ${item.area.toLocaleString("en")} pixels.`);
}

/** Shows what passes, and gives the search up when another picture is shown. */
export function showFound(): void {
  const start = new WeakMap<FoundMask, Painted>();
  effect(() => {
    found.value = passing.value.map((mask) => {
      let painted = start.get(mask);
      if (!painted) start.set(mask, (painted = { rle: mask.rle, box: mask.box, color: colorOf(mask.key) }));
      return painted;
    });
    if (!search.value) foundHovered.value = null;
  });
  effect(() => {
    const picture = current.value;
    const now = search.peek();
    if (now && now.picture !== picture) discardFound();
  });
}
