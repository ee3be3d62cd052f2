/** Brush and eraser: on the object that is being made, else on the selected one, else a new object. */
import { brushAt, stroke } from "../canvas/scene";
import { toPicture } from "../canvas/view";
import { strokeSpans } from "../masks/brush";
import { colorOf } from "../masks/colors";
import { pendingMask, withMask, withStroke } from "../masks/pending";
import { areaOf, combine, rleOf, spansOf } from "../masks/rle";
import { brushSize, change, current, doc, pending, say, select, selectedItems, view } from "../state";
import { fresh } from "./prompt";

const SMALLEST = 1;
const LARGEST = 600;

export function resizeBrush(factor: number): void {
  const next = brushSize.value * factor;
  brushSize.value = Math.min(LARGEST, Math.max(SMALLEST, factor > 1 ? Math.ceil(next) : Math.floor(next)));
  say(`Brush: ${brushSize.value} pixels.`);
}

/** Begins a stroke at a place of the canvas. False where there is nothing to brush on. */
export function beginStroke(x: number, y: number, erase: boolean): boolean {
  const item = selectedItems.value[0];
  if (!pending.value && item?.locked) {
    say(`${item.name || `Object ${item.id}`} is locked.`);
    return false;
  }
  if (!pending.value && item && selectedItems.value.length > 1) {
    say("Select one object to brush on.");
    return false;
  }
  if (erase && !pending.value && !item) {
    say("Select an object to erase from.");
    return false;
  }
  const color = pending.value?.color ?? item?.color ?? colorOf(doc.value.next - 1);
  stroke.value = { points: toPicture(x, y), radius: brushSize.value / 2 / view.value.scale, erase, color };
  return true;
}

export function moveStroke(x: number, y: number): void {
  const line = stroke.value;
  brushAt.value = [x, y];
  if (!line) return;
  const [px, py] = toPicture(x, y);
  stroke.value = { ...line, points: [...line.points, px, py] };
}

export function cancelStroke(): void {
  stroke.value = null;
}

/** Ends the stroke and joins it to the mask. */
export function endStroke(): void {
  const line = stroke.value;
  const info = current.value?.info.value;
  stroke.value = null;
  if (!line || !info) return;
  const spans = strokeSpans(line.points, line.radius, info.width, info.height);
  if (!spans.length) return;
  const rle = rleOf(spans, info.height, info.width);
  const title = line.erase ? "Erase" : "Brush";
  const item = selectedItems.value[0];
  if (pending.value || !item) {
    change(title, (before) => ({ ...before, pending: withStroke(before.pending ?? fresh(before), rle, line.erase) }));
    const mask = pendingMask(pending.value!);
    say(`Mask: ${(mask ? areaOf(spansOf(mask)) : 0).toLocaleString("en")} pixels.`);
    return;
  }
  const mask = combine(spansOf(item.rle), spans, line.erase ? "subtract" : "union");
  const { made: _made, ...rest } = item;
  const next = withMask(rest, rleOf(mask, info.height, info.width));
  change(title, (before) => ({
    ...before,
    items: next ? before.items.map((one) => (one.id === item.id ? next : one)) : before.items.filter((one) => one.id !== item.id),
  }));
  if (!next) select([]);
  say(next ? `Mask: ${next.area.toLocaleString("en")} pixels.` : "Nothing is left of the object; it is gone (undo brings it back).");
}
