/** What the page measures of itself, for tests and for whoever wants to know: window.__anymask. */
import { current, doc, models, model, pictures, selection, tool, view } from "../state";
import { live } from "../api";
import { hover, timing } from "./scene";
import { pendingMask } from "../masks/pending";
import { areaOf, spansOf } from "../masks/rle";

/** What other parts add to `state()`. */
export const more: Record<string, () => unknown> = {};

const KEPT = 240;
const durations: number[] = [];
const ends: number[] = [];

/** Notes a frame that was drawn. */
export function frameDone(start: number, end: number): void {
  durations.push(end - start);
  ends.push(end);
  if (durations.length > KEPT) {
    durations.shift();
    ends.shift();
  }
}

function snapshot() {
  const picture = current.value;
  const made = doc.value.pending;
  const mask = made && pendingMask(made);
  return {
    version: models.value?.version ?? null,
    model: model.value,
    live: live.status.value,
    pictures: pictures.value.map((one) => ({ key: one.key, name: one.name, status: one.status.value, id: one.info.value?.id ?? null })),
    current: picture && { key: picture.key, name: picture.name, info: picture.info.value, history: picture.history.steps.value },
    objects: doc.value.items.map(({ made: _made, ...item }) => item),
    pending: made && {
      edits: made.edits,
      prompt: made.prompt,
      candidates: made.candidates.map(({ score, area, box }) => ({ score, area, box })),
      chosen: made.chosen,
      waiting: made.answered !== made.prompt,
      area: mask ? areaOf(spansOf(mask)) : 0,
    },
    selection: [...selection.value],
    hover: hover.value && { at: hover.value.at, kind: hover.value.kind, area: hover.value.masks[0]?.area, score: hover.value.masks[0]?.score },
    tool: tool.value,
    view: view.value,
    ...Object.fromEntries(Object.entries(more).map(([name, read]) => [name, read()])),
  };
}

declare global {
  interface Window {
    __anymask: {
      /** All that is shown, as plain data. */
      state: () => ReturnType<typeof snapshot>;
      /** Milliseconds that each of the last frames took to draw. */
      frameTimes: () => number[];
      /** Milliseconds between the ends of the last frames. */
      frameGaps: () => number[];
      /** Milliseconds from the pointer's event to the painted mask, of the last one. */
      lastLatency: () => number;
    };
  }
}

window.__anymask = {
  state: snapshot,
  frameTimes: () => [...durations],
  frameGaps: () => ends.slice(1).map((end, index) => end - ends[index]),
  lastLatency: () => timing.last,
};
