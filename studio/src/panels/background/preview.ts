/** The preview: asked for a moment after the last change, given up when something newer is wanted, kept for a while. */
import { computed, effect, signal } from "@preact/signals";
import { api, isAbort } from "../../api";
import { withPicture } from "../../pictures/upload";
import { current, say, type Picture } from "../../state";
import { openPanel } from "../../slots";
import { cutOut, options, PREVIEW } from "./state";

export interface Shown {
  url: string;
  width: number;
  height: number;
}

const DELAY = 300;
const KEPT = 8;

export const active = computed(() => openPanel.value === "background" && current.value !== null);
/** The result, and the picture as it was, at the preview's size. */
export const after = signal<Shown | null>(null);
export const before = signal<Shown | null>(null);
export const working = signal(false);
export const problem = signal("");

const cache = new Map<string, Shown>();
let running: AbortController | null = null;
let timer = 0;
let serial = 0;

/** Starts to follow the panel's choices. */
export function watchPreview(): void {
  effect(() => {
    const picture = current.value;
    void (active.value && picture ? showBefore(picture) : clear());
  });
  effect(() => {
    const asked = active.value ? options.value : null;
    const picture = current.value;
    stop();
    if (!asked || !picture) {
      after.value = null;
      problem.value = "";
      return;
    }
    const key = `${picture.key} ${JSON.stringify(asked)}`;
    const known = cache.get(key);
    if (known) {
      after.value = known;
      problem.value = "";
      return;
    }
    working.value = true;
    timer = window.setTimeout(() => void make(picture, key), DELAY);
    async function make(of: Picture, name: string): Promise<void> {
      const controller = (running = new AbortController());
      const mine = ++serial;
      const start = performance.now();
      try {
        const blob = await cutOut(of, { ...asked!, format: "png", max: PREVIEW }, controller.signal);
        const shown = await measured(blob);
        if (mine !== serial) return URL.revokeObjectURL(shown.url);
        remember(name, shown);
        after.value = shown;
        problem.value = "";
        say(`Cut out in ${((performance.now() - start) / 1000).toFixed(1)} s.`);
      } catch (error) {
        if (isAbort(error) || mine !== serial) return;
        after.value = null;
        problem.value = error instanceof Error ? error.message : String(error);
      }
      if (mine === serial) working.value = false;
    }
  });
}

function stop(): void {
  clearTimeout(timer);
  running?.abort();
  running = null;
  serial++;
  working.value = false;
}

function clear(): void {
  if (before.peek()) URL.revokeObjectURL(before.peek()!.url);
  before.value = null;
  shownOf = "";
}

let shownOf = "";

async function showBefore(picture: Picture): Promise<void> {
  if (shownOf === picture.key) return;
  clear();
  shownOf = picture.key;
  try {
    const shown = await measured(await withPicture(picture, (id) => api.pictures.image(id, PREVIEW)));
    if (shownOf === picture.key) before.value = shown;
    else URL.revokeObjectURL(shown.url);
  } catch {
    // The canvas says what is wrong with a picture that cannot be shown.
  }
}

async function measured(blob: Blob): Promise<Shown> {
  const bitmap = await createImageBitmap(blob);
  const { width, height } = bitmap;
  bitmap.close();
  return { url: URL.createObjectURL(blob), width, height };
}

function remember(key: string, shown: Shown): void {
  cache.set(key, shown);
  for (const [old, { url }] of cache) {
    if (cache.size <= KEPT) break;
    cache.delete(old);
    URL.revokeObjectURL(url);
  }
}
