/** The named places of the shell. Anyone registers a component for one; the shell draws them by order. */
import { computed, signal } from "@preact/signals";
import type { ComponentType } from "preact";

export type SlotName =
  /** Left of the top bar, after the name; for opening and importing. */
  | "top-left"
  /** Middle of the top bar. */
  | "top"
  /** Right of the top bar; for exporting, help and settings. */
  | "top-right"
  /** Below the tools. */
  | "tools"
  /** Over the canvas; position it yourself, `pointer-events` reaches only what has the class "live". */
  | "overlay"
  /** The empty page, below the invitation to drop pictures. */
  | "empty"
  /** Between canvas and status bar: the film strip, a mode's bar. */
  | "strip"
  /** The status bar, left and right. */
  | "status-left"
  | "status-right"
  /** Dialogs and other things without a place; always mounted. */
  | "floating";

export interface Panel {
  id: string;
  title: string;
  icon?: ComponentType;
  component: ComponentType;
  order: number;
}

interface Filled {
  id: string;
  component: ComponentType;
  order: number;
}

const slots = signal<ReadonlyMap<SlotName, readonly Filled[]>>(new Map());
/** The tabs of the right panel. */
export const panels = signal<readonly Panel[]>([]);
export const openPanel = signal("objects");
/** Whether the video page has the canvas; no picture is current then. */
export const filming = computed(() => openPanel.value === "video");

/** Puts a component into a slot; one of the same id is replaced. */
export function fill(slot: SlotName, id: string, component: ComponentType, order = 50): void {
  const others = (slots.value.get(slot) ?? []).filter((one) => one.id !== id);
  const filled = [...others, { id, component, order }].sort((a, b) => a.order - b.order);
  slots.value = new Map(slots.value).set(slot, filled);
}

export function inSlot(slot: SlotName): readonly Filled[] {
  return slots.value.get(slot) ?? [];
}

/** Adds a tab to the right panel; one of the same id is replaced. */
export function addPanel(panel: Panel): void {
  panels.value = [...panels.value.filter((one) => one.id !== panel.id), panel].sort((a, b) => a.order - b.order);
}
