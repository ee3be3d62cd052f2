/** What one does with objects that are there: selecting, naming, ordering, merging, deleting. */
import type { Doc, Item } from "../doc";
import { withMask } from "../masks/pending";
import { combine, contains, rleOf, spansOf } from "../masks/rle";
import { change, doc, pending, say, select, selectedItems, selection } from "../state";

const title = (item: Item) => item.name || `object ${item.id}`;

/** The uppermost visible object that covers a pixel. */
export function itemAt(x: number, y: number): Item | null {
  for (const item of doc.value.items) {
    const [x0, y0, x1, y1] = item.box;
    if (item.hidden || x < x0 || x > x1 || y < y0 || y > y1) continue;
    if (contains(spansOf(item.rle), item.rle.size[0], x, y)) return item;
  }
  return null;
}

/** Selects one object, or adds it to the selection and takes it out again. */
export function pick(item: Item | null, add = false): void {
  if (!item) return add ? undefined : select([]);
  if (!add) select([item.id]);
  else {
    const next = new Set(selection.value);
    if (!next.delete(item.id)) next.add(item.id);
    select(next);
  }
  say(`Selected ${selection.value.size === 1 ? title(item) : `${selection.value.size} objects`}.`);
}

/** Selects all from the last selected object to this one, in the order of the list. */
export function pickRange(item: Item): void {
  const items = doc.value.items;
  const last = [...selection.value].pop();
  const from = items.findIndex((one) => one.id === last);
  const to = items.findIndex((one) => one.id === item.id);
  if (from < 0) return pick(item);
  const ids = items.slice(Math.min(from, to), Math.max(from, to) + 1).map((one) => one.id);
  // The one the range began with stays the last, so that the next range begins there as well.
  select([...ids.filter((id) => id !== last), last!]);
  say(`Selected ${ids.length} objects.`);
}

function edit(what: string, ids: ReadonlySet<number>, make: (item: Item) => Item, merge = ""): void {
  change(what, (before) => ({ ...before, items: before.items.map((item) => (ids.has(item.id) ? make(item) : item)) }), merge);
}

export function rename(id: number, name: string): void {
  const item = doc.value.items.find((one) => one.id === id);
  if (!item || item.name === name) return;
  // Several selected objects get the name together.
  const ids = selection.value.has(id) ? selection.value : new Set([id]);
  edit("Rename", ids, (one) => ({ ...one, name }));
  say(ids.size > 1 ? `${ids.size} objects are now ${name || "without a name"}.` : `Object ${id} is now ${name || "without a name"}.`);
}

export function recolor(id: number, color: string): void {
  edit("Change the colour", new Set([id]), (item) => ({ ...item, color }), `color ${id}`);
}

export function setHidden(ids: ReadonlySet<number>, hidden: boolean): void {
  edit(hidden ? "Hide" : "Show", ids, (item) => ({ ...item, hidden }));
}

export function setLocked(ids: ReadonlySet<number>, locked: boolean): void {
  edit(locked ? "Lock" : "Unlock", ids, (item) => ({ ...item, locked }));
}

/** Deletes the selected objects, but not locked ones. */
export function removeSelected(): void {
  const going = new Set(selectedItems.value.filter((item) => !item.locked).map((item) => item.id));
  const locked = selectedItems.value.length - going.size;
  if (going.size) {
    const items = doc.value.items;
    const first = items.findIndex((item) => going.has(item.id));
    change(going.size === 1 ? "Delete an object" : `Delete ${going.size} objects`, (before) => ({
      ...before,
      items: before.items.filter((item) => !going.has(item.id)),
    }));
    // The neighbour is selected, so that one can go on deleting with the keyboard.
    const next = doc.value.items[Math.min(first, doc.value.items.length - 1)];
    select(next && going.size === 1 ? [next.id] : []);
  }
  say(`Deleted ${going.size}${locked ? `; ${locked} locked stay` : ""}.`);
}

/** Makes one object of the selected ones: the uppermost, with the masks of all. */
export function mergeSelected(): void {
  const parts = selectedItems.value;
  if (parts.length < 2) return;
  if (parts.some((item) => item.locked)) return say("Locked objects cannot be merged.");
  let spans = spansOf(parts[0].rle);
  for (const part of parts.slice(1)) spans = combine(spans, spansOf(part.rle), "union");
  const { made: _made, ...first } = parts[0];
  const name = parts.find((item) => item.name)?.name ?? "";
  const merged = withMask({ ...first, name }, rleOf(spans, ...first.rle.size))!;
  const ids = new Set(parts.map((item) => item.id));
  change("Merge", (before) => ({
    ...before,
    items: before.items.filter((item) => item.id === merged.id || !ids.has(item.id)).map((item) => (item.id === merged.id ? merged : item)),
  }));
  select([merged.id]);
  say(`Merged ${parts.length} objects: ${merged.area.toLocaleString("en")} pixels.`);
}

/** Moves objects in the stacking order, before the one of `target` (or to the end). */
export function moveBefore(ids: ReadonlySet<number>, target: number | null): void {
  change("Reorder", (before) => {
    const moved = before.items.filter((item) => ids.has(item.id));
    const rest = before.items.filter((item) => !ids.has(item.id));
    const at = target === null ? rest.length : rest.findIndex((item) => item.id === target);
    if (at < 0) return before;
    const items = [...rest.slice(0, at), ...moved, ...rest.slice(at)];
    return items.every((item, index) => item === before.items[index]) ? before : { ...before, items };
  });
}

/** Moves the selected objects one step up (-1) or down (1). */
export function moveSelected(step: -1 | 1): void {
  const ids = selection.value;
  change("Reorder", (before) => ({ ...before, items: shifted(before, ids, step) }), `move ${[...ids].join()}`);
  const at = doc.value.items.findIndex((item) => ids.has(item.id));
  say(`Moved to place ${at + 1} of ${doc.value.items.length}.`);
}

function shifted(before: Doc, ids: ReadonlySet<number>, step: -1 | 1): Item[] {
  const items = [...before.items];
  const order = step < 0 ? items.keys() : [...items.keys()].reverse();
  for (const index of order) {
    const other = index + step;
    if (!ids.has(items[index].id) || other < 0 || other >= items.length || ids.has(items[other].id)) continue;
    [items[index], items[other]] = [items[other], items[index]];
  }
  return items;
}

/** Selects the next object of the list. */
export function step(by: number): void {
  const items = doc.value.items;
  if (!items.length || pending.value) return;
  const at = items.findIndex((item) => selection.value.has(item.id));
  pick(items[at < 0 ? 0 : (at + by + items.length) % items.length]);
}
