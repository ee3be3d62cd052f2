/** Names of objects: those used so far, and the field that they are written in. */
import { computed, signal } from "@preact/signals";
import { pending, pictures, selectedItems } from "../state";
import { openPanel } from "../slots";

/** Names that come from elsewhere: a project's labels, a list that was loaded. */
export const knownNames = signal<readonly string[]>([]);

/** All names used so far, the most used first. */
export const usedNames = computed<string[]>(() => {
  const counts = new Map<string, number>();
  knownNames.value.forEach((name) => counts.set(name, 0));
  for (const picture of pictures.value) {
    for (const { name } of picture.doc.value.items) if (name) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)! || a.localeCompare(b));
});

/** Asks for the focus in the name field of what is being made or selected; the field takes it and clears this. */
export const naming = signal<{ id: number | "pending"; time: number } | null>(null);

export function focusName(): void {
  if (!pending.value) openPanel.value = "objects";
  const id = pending.value ? "pending" : selectedItems.value[0]?.id;
  if (id !== undefined) naming.value = { id, time: performance.now() };
}
