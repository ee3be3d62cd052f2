/** The three ways of working of Segment Anything's data engine: by hand, with a model's first attempt, by the model alone. */
import { effect, signal } from "@preact/signals";
import { api, isAbort, type FoundMask } from "../../api";
import { colorOf } from "../../masks/colors";
import { withMask } from "../../masks/pending";
import { withPicture } from "../../pictures/upload";
import { fail, model, say, selection } from "../../state";
import type { Item } from "../../doc";
import { isUnconfirmed } from "./records";
import { filter, opened, openItem, patch, project, refresh, type OpenItem } from "./store";

export type Engine = "assisted" | "semi" | "automatic";

export const ENGINES: { value: Engine; title: string; line: string }[] = [
  { value: "assisted", title: "Assisted", line: "You point at each object; the model draws its mask." },
  { value: "semi", title: "Semi", line: "The model fills in what it is sure of; you confirm, delete and add the rest." },
  { value: "automatic", title: "Automatic", line: "The model finds everything in all pictures; you only review." },
];

export const engine = signal<Engine>("assisted");
const CONFIDENCE = 0.5;
/** The least predicted quality of a mask that is filled in. Models differ in how sure they say they are. */
export const confidence = signal(CONFIDENCE);
/** How many masks the search in the open item found; what the confidence leaves of them is filled in. */
export const foundCount = signal(0);
/** Reviewing: accept, send back, next. */
export const reviewing = signal(false);
/** What is going on: in the open item, or in the whole project. */
export const filling = signal<{ done: number; total: number } | null>(null);
export interface Automatic {
  project: string;
  done: number;
  total: number;
  objects: number;
  /** The picture that is worked on, and how far, 0 to 1. */
  name: string;
  part: number;
  problems: string[];
}
export const automatic = signal<Automatic | null>(null);

const STORED = "anymask.engine.";

/** Starts to remember the choices of each project, and to fill in items in the semi-automatic way. */
export function watchEngine(): void {
  let of = "";
  effect(() => {
    const name = project.value?.name ?? "";
    if (name !== of) {
      of = name;
      try {
        const stored = JSON.parse(localStorage.getItem(STORED + name) ?? "{}") as { engine?: string; confidence?: number; reviewing?: boolean };
        engine.value = ENGINES.find((one) => one.value === stored.engine)?.value ?? "assisted";
        confidence.value = typeof stored.confidence === "number" ? stored.confidence : CONFIDENCE;
        reviewing.value = stored.reviewing === true;
      } catch {
        engine.value = "assisted";
      }
    }
    const text = JSON.stringify({ engine: engine.value, confidence: confidence.value, reviewing: reviewing.value });
    if (!name) return;
    try {
      localStorage.setItem(STORED + name, text);
    } catch {
      // No storage: the choices last as long as the page.
    }
  });
  opened.push((item, full) => {
    candidates = null;
    foundCount.value = 0;
    if (engine.value === "semi" && full.status === "new" && !item.draft.content.objects.length) void fillIn(item);
  });
  effect(() => {
    if (control && control.item !== openItem.value) stopFilling();
  });
  effect(() => {
    const least = confidence.value;
    if (candidates) adjust(least);
  });
}

let control: { abort: AbortController; item: OpenItem } | null = null;
/** What was found in the open item: the object that each became, and whether the slider took it out again. */
let candidates: { item: OpenItem; list: { mask: FoundMask; id: number; out: boolean }[] } | null = null;

export function stopFilling(): void {
  control?.abort.abort();
  control = null;
  filling.value = null;
}

/** Finds everything in an item and fills it with what is sure enough, to be confirmed. */
export async function fillIn(item: OpenItem): Promise<void> {
  stopFilling();
  const own = (control = { abort: new AbortController(), item });
  filling.value = { done: 0, total: 0 };
  const masks = new Map<number, FoundMask>();
  say("Looking for objects to fill in…");
  try {
    await withPicture(item.picture, async (id) => {
      masks.clear();
      for await (const line of api.everything(id, { model: model.value ?? undefined }, own.abort.signal)) {
        if (line.type === "mask") masks.set(line.key, line);
        else if (line.type === "drop") line.keys.forEach((key) => masks.delete(key));
        else if (line.type === "progress") filling.value = { done: line.done, total: line.total };
        else if (line.type === "error") throw new Error(line.error);
        else if (line.type === "done") {
          const kept = new Set(line.keys);
          for (const key of [...masks.keys()]) if (!kept.has(key)) masks.delete(key);
        }
      }
    });
    if (control !== own || openItem.value !== item) return;
    // Small ones on top, so that everything can be clicked.
    const list = [...masks.values()].sort((a, b) => a.area - b.area).map((mask) => ({ mask, id: 0, out: false }));
    candidates = { item, list };
    foundCount.value = list.length;
    const count = adjust(confidence.value);
    say(`Filled in ${count} of ${list.length} masks${count < list.length ? "; a lower confidence brings more" : ""}.`);
  } catch (error) {
    if (!isAbort(error)) fail(error);
  } finally {
    if (control === own) stopFilling();
  }
}

/** Adds what is above the confidence now and takes out what is below; what was confirmed, deleted or drawn stays as it is. */
function adjust(least: number): number {
  const found = candidates;
  if (!found || openItem.peek() !== found.item) return 0;
  const { picture } = found.item;
  const before = picture.doc.peek();
  const going = new Set<number>();
  const coming: Item[] = [];
  let next = before.next;
  for (const one of found.list) {
    const sure = one.mask.score >= least;
    if (sure && (one.id === 0 || one.out)) {
      one.id ||= next++;
      one.out = false;
      const { rle, score, stability_score, point } = one.mask;
      const item = withMask({ id: one.id, name: "", color: colorOf(one.id - 1), score, stability_score, point, source: "everything", confirmed: false }, rle);
      if (item) coming.push(item);
    } else if (!sure && one.id && !one.out && before.items.some((item) => item.id === one.id && isUnconfirmed(item))) {
      one.out = true;
      going.add(one.id);
    }
  }
  if (!coming.length && !going.size) return 0;
  const items = [...before.items.filter((item) => !going.has(item.id)), ...coming];
  picture.history.change("Fill in what was found", { ...before, items, next }, "fill in");
  return coming.length;
}

/** Confirms objects of the open item: the selected ones, or all. */
export function confirm(all: boolean): void {
  const item = openItem.value;
  if (!item) return;
  const chosen = selection.value;
  const before = item.picture.doc.value;
  const meant = (one: Item) => isUnconfirmed(one) && (all || chosen.has(one.id));
  const count = before.items.filter(meant).length;
  if (!count) return say("Nothing here waits to be confirmed.");
  item.picture.history.change(count === 1 ? "Confirm an object" : `Confirm ${count} objects`, {
    ...before,
    items: before.items.map((one) => (meant(one) ? { ...one, confirmed: true } : one)),
  });
  say(`Confirmed ${count} ${count === 1 ? "object" : "objects"}.`);
}

/** Deletes what nobody confirmed. */
export function deleteUnconfirmed(): void {
  const item = openItem.value;
  if (!item) return;
  const before = item.picture.doc.value;
  const items = before.items.filter((one) => !isUnconfirmed(one) || one.locked);
  const count = before.items.length - items.length;
  if (!count) return;
  item.picture.history.change(`Delete ${count} unconfirmed objects`, { ...before, items });
  say(`Deleted ${count} unconfirmed objects.`);
}

let stopAutomatic: AbortController | null = null;

export function cancelAutomatic(): void {
  stopAutomatic?.abort();
}

/** Finds everything in all items that nobody has begun with. What is done is saved on the server, also when it is cancelled. */
export async function runAutomatic(): Promise<void> {
  const of = project.value?.name;
  if (!of || automatic.value) return;
  const own = (stopAutomatic = new AbortController());
  automatic.value = { project: of, done: 0, total: 0, objects: 0, name: "", part: 0, problems: [] };
  try {
    for await (const line of api.projects.automatic(of, { model: model.value ?? undefined, only_new: true }, own.signal)) {
      const now: Automatic = automatic.value!;
      if (line.type === "start") automatic.value = { ...now, total: line.total };
      else if (line.type === "progress") automatic.value = { ...now, name: line.name, part: line.total ? line.done / line.total : 0 };
      else if (line.type === "item") {
        const problems = line.error ? [...now.problems, `${line.name}: ${line.error}`] : now.problems;
        automatic.value = { ...now, done: line.done, total: line.total, objects: now.objects + line.objects, name: line.name, part: 0, problems };
        if (!line.error && project.value?.name === of) patch(line.name, { status: "started", objects: line.objects });
      } else if (line.type === "error") throw new Error(line.error);
    }
    const { done, objects, problems } = automatic.value!;
    say(`Found ${objects} objects in ${done} pictures${problems.length ? `; ${problems.length} could not be read` : ""}.`);
    if (done) {
      reviewing.value = true;
      filter.value = "all";
    }
    if (problems.length) fail(problems.slice(0, 3).join(" "));
  } catch (error) {
    if (isAbort(error)) say(`Cancelled; ${automatic.value?.done ?? 0} pictures are done and saved.`);
    else fail(error);
  } finally {
    automatic.value = null;
    stopAutomatic = null;
    refresh().catch(() => {});
  }
}
