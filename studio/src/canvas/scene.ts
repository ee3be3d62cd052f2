/** What the canvas shows for the moment, besides the document: the hovered mask, a drag, the cursor. */
import { signal } from "@preact/signals";
import type { Mask, RLE } from "../api";
import type { Painted } from "./layer";

export interface Hover {
  rle: RLE;
  color: string;
  /** A new object, or what a click would add to the edited one or take away. */
  kind: "new" | "add" | "remove";
  /** The pixel it was asked for, the answer's masks, and the time of the pointer's event. */
  at: readonly [number, number];
  masks: Mask[];
  /** `masks` are all the candidates, and not the best one alone. */
  complete: boolean;
  asked: number;
}

/** The mask under the pointer. */
export const hover = signal<Hover | null>(null);

/** The brush's stroke while it is drawn: x, y pairs and radius in pixels of the picture. */
export const stroke = signal<{ points: number[]; radius: number; erase: boolean; color: string } | null>(null);

/** A box while it is dragged, in pixels of the picture. */
export const dragBox = signal<readonly [number, number, number, number] | null>(null);

/** The pixel of the keyboard's crosshair. */
export const crosshair = signal<readonly [number, number] | null>(null);

/** Where the brush's circle stands, in CSS pixels of the canvas. */
export const brushAt = signal<readonly [number, number] | null>(null);

/** Masks that were found and not yet kept. */
export const found = signal<readonly Painted[]>([]);
/** The outline of one of them, under the pointer. */
export const foundHovered = signal<RLE | null>(null);

/** The time of the pointer's event that the next painted frame answers; for measuring. */
export const timing = { since: 0, last: 0 };
