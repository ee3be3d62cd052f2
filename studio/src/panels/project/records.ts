/** Objects between the studio's documents and a project's records. */
import type { ItemStatus, ObjectRecord, RLE } from "../../api";
import { toRecord, type Doc, type Item } from "../../doc";
import { colorOf } from "../../masks/colors";
import { withMask } from "../../masks/pending";
import { spansOf } from "../../masks/rle";

/** What is saved of an item. */
export interface Content {
  status: ItemStatus;
  objects: ObjectRecord[];
}

/** True for what a model found and no person has looked at. */
export function isUnconfirmed(item: Pick<ObjectRecord, "confirmed">): boolean {
  return item.confirmed === false;
}

/** Objects of a project as a document. The server leaves out what is false: found ones that nobody confirmed say nothing. */
export function docOf(objects: readonly ObjectRecord[]): Doc {
  let next = 1 + Math.max(0, ...objects.map((one) => one.id));
  const seen = new Set<number>();
  const items: Item[] = [];
  for (const record of objects) {
    const id = record.id > 0 && !seen.has(record.id) ? record.id : next++;
    const confirmed = record.source === "everything" ? record.confirmed === true : undefined;
    const item = withMask({ ...record, id, color: record.color ?? colorOf(id - 1), ...(confirmed === undefined ? {} : { confirmed }) }, record.rle);
    if (!item) continue;
    seen.add(id);
    items.push(item);
  }
  return { items, pending: null, next };
}

/** The records of a document's objects. Whatever a person made or kept is confirmed. */
export function recordsOf(items: readonly Item[]): ObjectRecord[] {
  return items.map((item) => ({ ...toRecord(item), confirmed: !isUnconfirmed(item) }));
}

/** Whether two versions say the same. */
export function sameContent(a: Content, b: Content): boolean {
  return a.status === b.status && a.objects.length === b.objects.length && a.objects.every((one, at) => sameObject(one, b.objects[at]));
}

function sameObject(a: ObjectRecord, b: ObjectRecord): boolean {
  return (
    a.id === b.id &&
    a.name === b.name &&
    (a.color ?? "").toLowerCase() === (b.color ?? "").toLowerCase() &&
    !a.hidden === !b.hidden &&
    !a.locked === !b.locked &&
    !a.confirmed === !b.confirmed &&
    sameMask(a.rle, b.rle)
  );
}

function sameMask(a: RLE, b: RLE): boolean {
  if (a.counts === b.counts) return true;
  const one = spansOf(a);
  const other = spansOf(b);
  return one.length === other.length && one.every((edge, at) => edge === other[at]);
}

/** Both versions in one: mine as they are, and below them what only the other one has, as new objects. */
export function merged(mine: Content, theirs: Content): Content {
  let next = 1 + Math.max(0, ...mine.objects.map((one) => one.id));
  const extra = theirs.objects.filter((other) => !mine.objects.some((one) => one.name === other.name && sameMask(one.rle, other.rle)));
  return { status: mine.status, objects: [...mine.objects, ...extra.map((one) => ({ ...one, id: next++ }))] };
}
