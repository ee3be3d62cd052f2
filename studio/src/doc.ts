/** What a person makes of one picture. Everything here is immutable: a change makes new objects and shares the rest,
 * so that a step of the history costs no more than what it changed. */
import type { Box, Mask, ObjectRecord, Point, RLE } from "./api";

/** The prompt that an object came from, kept so that it can be opened again. */
export interface Prompt {
  points: Point[];
  labels: (0 | 1)[];
  box: Box | null;
}

/** An object that is being made or edited: a prompt, the model's candidates, and what the brush did to them. */
export interface Pending {
  /** The object that is edited, or null for a new one. */
  edits: number | null;
  prompt: Prompt;
  /** The model's answers to `prompt`, best first; empty while none came or where there is no prompt. */
  candidates: Mask[];
  chosen: number;
  /** The prompt that `candidates` answer; another one than `prompt` while the answer is on its way. */
  answered: Prompt | null;
  /** The mask that was there before the prompt; clicks add what they hit to it or take it away. */
  base: RLE | null;
  /** What the brush added to the candidate, and what the eraser took away. */
  plus: RLE | null;
  minus: RLE | null;
  color: string;
  name: string;
}

/** An object of the list. `area` and `box` belong to `rle`. */
export interface Item extends ObjectRecord {
  color: string;
  area: number;
  box: Box;
  /** Only in this page: how it was made. */
  made?: Pick<Pending, "prompt" | "candidates" | "chosen" | "answered" | "base" | "plus" | "minus">;
}

export interface Doc {
  /** Stacking order: the first is on top. */
  items: readonly Item[];
  pending: Pending | null;
  /** The number that the next object gets; its colour follows from it. */
  next: number;
}

export const EMPTY_DOC: Doc = { items: [], pending: null, next: 1 };
export const EMPTY_PROMPT: Prompt = { points: [], labels: [], box: null };

/** An item as the server's projects keep it. */
export function toRecord(item: Item): ObjectRecord {
  const { area: _area, box: _box, made: _made, ...record } = item;
  return record;
}
