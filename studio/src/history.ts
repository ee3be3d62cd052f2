/** Undo and redo of one picture: the documents that were, bounded in number and in memory. */
import { signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { Doc } from "./doc";
import type { RLE } from "./api";

const MOST_STEPS = 300;
const MOST_BYTES = 64 * 2 ** 20;

interface Step {
  doc: Doc;
  /** What was done next, for the menu and the status line: "Undone: delete object". */
  title: string;
}

export class History {
  private past: Step[] = [];
  private future: Step[] = [];
  private readonly depth = signal({ undo: 0, redo: 0 });

  constructor(private readonly doc: Signal<Doc>) {}

  /** How many steps there are in each direction. */
  get steps(): ReadonlySignal<{ undo: number; redo: number }> {
    return this.depth;
  }

  /** Makes `doc` the document. Steps of one `merge` word directly after each other count as one (a drag, a name). */
  change(title: string, doc: Doc, merge = ""): void {
    const before = this.doc.value;
    if (doc === before) return;
    const key = merge && `${merge}:${title}`;
    if (!(key && this.last === key && this.past.length)) this.past.push({ doc: before, title });
    this.last = key;
    this.future = [];
    this.trim();
    this.doc.value = doc;
    this.count();
  }
  private last = "";

  /** Makes `doc` the document without a step: an answer that belongs to the step before. */
  amend(doc: Doc): void {
    this.doc.value = doc;
  }

  /** Goes one step back; the title of what was undone, or null. */
  undo(): string | null {
    const step = this.past.pop();
    if (!step) return null;
    this.future.push({ doc: this.doc.value, title: step.title });
    return this.go(step);
  }

  /** Goes one step forward again; the title of what was redone, or null. */
  redo(): string | null {
    const step = this.future.pop();
    if (!step) return null;
    this.past.push({ doc: this.doc.value, title: step.title });
    return this.go(step);
  }

  /** Forgets all steps. */
  clear(): void {
    this.past = [];
    this.future = [];
    this.count();
  }

  private go(step: Step): string {
    this.last = "";
    this.doc.value = step.doc;
    this.count();
    return step.title;
  }

  private count(): void {
    this.depth.value = { undo: this.past.length, redo: this.future.length };
  }

  private trim(): void {
    while (this.past.length > MOST_STEPS) this.past.shift();
    const seen = new Set<RLE>();
    let bytes = 0;
    // From the newest back: the steps that no longer fit are the oldest ones.
    for (let index = this.past.length - 1; index >= 0; index--) {
      bytes += weight(this.past[index].doc, seen);
      if (bytes > MOST_BYTES) {
        this.past.splice(0, index + 1);
        return;
      }
    }
  }
}

/** The bytes of a document that no document in `seen` has already. */
function weight(doc: Doc, seen: Set<RLE>): number {
  let bytes = doc.items.length * 8;
  const add = (rle: RLE | null | undefined) => {
    if (!rle || seen.has(rle)) return;
    seen.add(rle);
    bytes += rle.counts.length * 2;
  };
  for (const item of doc.items) add(item.rle);
  const pending = doc.pending;
  if (pending) {
    for (const mask of pending.candidates) add(mask.rle);
    add(pending.base);
    add(pending.plus);
    add(pending.minus);
  }
  return bytes;
}
