/** The object that is being made: points, boxes, candidates; keeping it and opening it again. */
import { effect, signal } from "@preact/signals";
import { api, ApiError, isAbort, live, type Box, type Mask, type Point, type PromptRequest } from "../api";
import { EMPTY_PROMPT, type Doc, type Item, type Pending, type Prompt } from "../doc";
import { hover, timing } from "../canvas/scene";
import { colorOf } from "../masks/colors";
import { pendingMask, withMask, withStroke } from "../masks/pending";
import { areaOf, spansOf } from "../masks/rle";
import { change, current, doc, fail, model, needsKey, pending, say, select, selectedItems, touch, type Picture } from "../state";
import { withPicture } from "../pictures/upload";

/** A new, empty object in the colour that it will have. */
export function fresh(of: Doc): Pending {
  return {
    edits: null,
    prompt: EMPTY_PROMPT,
    candidates: [],
    chosen: 0,
    answered: null,
    base: null,
    plus: null,
    minus: null,
    color: colorOf(of.next - 1),
    name: "",
  };
}

/** Whether clicks add to a mask that has no prompt of its own, or take from it. */
export function addsToBase(made: Pending | null): boolean {
  return !!made?.base;
}

/** The time of the click that is not answered yet; for measuring. */
let clicked = 0;

const described = (mask: Mask) => `${mask.area.toLocaleString("en")} pixels, score ${mask.score.toFixed(2)}`;

/** Adds a point to the object that is being made; the first one begins a new object. */
export function addPoint(point: Point, label: 0 | 1, time = 0): void {
  const made = pending.value;
  if (addsToBase(made)) return void hit({ points: [point], labels: [1] }, label === 0, point);
  if (!made && label === 0) return say("A point of the background needs an object: click into one first.");
  const shown = hover.value;
  clicked = time;
  change(label ? "Add a point" : "Add a background point", (before) => {
    const from = before.pending ?? fresh(before);
    const prompt: Prompt = { ...from.prompt, points: [...from.prompt.points, point], labels: [...from.prompt.labels, label] };
    const next: Pending = { ...from, prompt };
    // The mask that is shown under the pointer is the answer to this very click.
    if (!made && shown?.kind === "new" && shown.at[0] === point[0] && shown.at[1] === point[1]) {
      next.candidates = shown.masks;
      // Of a large picture there is only the best one yet; it stays until all are there.
      if (shown.complete) next.answered = prompt;
      timing.since = time;
      say(`Mask: ${described(shown.masks[0])}.`);
    }
    return { ...before, pending: next };
  });
  hover.value = null;
}

/** Takes a point of the prompt away. */
export function removePoint(index: number): void {
  change("Remove a point", (before) => {
    const from = before.pending!;
    const prompt: Prompt = {
      ...from.prompt,
      points: from.prompt.points.filter((_, at) => at !== index),
      labels: from.prompt.labels.filter((_, at) => at !== index),
    };
    return { ...before, pending: settle({ ...from, prompt }) };
  });
}

/** Gives the object that is being made a box; without one, begins a new object. */
export function setBox(box: Box, background = false): void {
  const made = pending.value;
  if (addsToBase(made)) return void hit({ box }, background, null);
  change("Draw a box", (before) => {
    const from = before.pending ?? fresh(before);
    return { ...before, pending: { ...from, prompt: { ...from.prompt, box } } };
  });
  hover.value = null;
}

/** A prompt that became empty has no candidates. */
function settle(made: Pending): Pending | null {
  if (made.prompt.points.length || made.prompt.box) return made;
  const empty = { ...made, candidates: [], chosen: 0, answered: made.prompt };
  return empty.base || empty.plus ? empty : null;
}

/** Adds what a prompt of its own hits to the edited mask, or takes it away. */
async function hit(prompt: PromptRequest, erase: boolean, at: Point | null): Promise<void> {
  const picture = current.value!;
  const shown = hover.value;
  try {
    const known = at && shown && shown.kind !== "new" && shown.at[0] === at[0] && shown.at[1] === at[1] ? shown.masks[0] : null;
    const mask = known ?? (await ask(picture, prompt))[0];
    const made = picture.doc.value.pending;
    if (!mask || !made) return;
    picture.history.change(erase ? "Take away a part" : "Add a part", { ...picture.doc.value, pending: withStroke(made, mask.rle, erase) });
    hover.value = null;
    const rle = pendingMask(picture.doc.value.pending!);
    say(`${erase ? "Taken away" : "Added"}; the mask has ${(rle ? areaOf(spansOf(rle)) : 0).toLocaleString("en")} pixels.`);
  } catch (error) {
    fail(error);
  }
}

async function ask(picture: Picture, prompt: PromptRequest, signal?: AbortSignal): Promise<Mask[]> {
  const answer = await withPicture(picture, (id, again) => {
    const { mask_id, ...rest } = prompt;
    const sent = again || !mask_id ? rest : prompt;
    return api.predict(id, { model: model.value ?? undefined, prompts: [{ multimask: null, ...sent }] }, signal);
  });
  return answer.results[0].masks;
}

/** Asks the model whenever the prompt of a pending object has no answer yet: after clicks, undo, a reload. */
export function answerPrompts(): () => void {
  let asked: { prompt: Prompt; control: AbortController } | null = null;
  let refused: Prompt | null = null;
  // What failed because the server was away, or wanted a key, is asked again when it is back.
  const back = signal(0);
  let away = false;
  const retry = () => {
    if (live.status.value !== "open" || !away || needsKey.value) return;
    away = false;
    refused = null;
    back.value = back.peek() + 1;
  };
  effect(retry);
  return effect(() => {
    back.value;
    const picture = current.value;
    const made = pending.value;
    if (asked && asked.prompt !== made?.prompt) {
      asked.control.abort();
      asked = null;
    }
    if (!picture || !made || made.answered === made.prompt || asked || refused === made.prompt) return;
    const prompt = made.prompt;
    if (!prompt.points.length && !prompt.box) return;
    const control = new AbortController();
    asked = { prompt, control };
    const request: PromptRequest = {};
    if (prompt.points.length) Object.assign(request, { points: prompt.points, labels: prompt.labels });
    if (prompt.box) request.box = prompt.box;
    // Further points refine the mask that is shown, as Segment Anything is meant to be used.
    const before = made.candidates[made.chosen];
    if (before && prompt.points.length > 1) request.mask_id = before.id;
    ask(picture, request, control.signal).then(
      (masks) => {
        if (asked?.control === control) asked = null;
        const now = picture.doc.value;
        if (now.pending?.prompt !== prompt) return;
        timing.since = clicked;
        clicked = 0;
        picture.history.amend({ ...now, pending: { ...now.pending, candidates: masks, chosen: 0, answered: prompt } });
        const area = pendingMask(picture.doc.value.pending!);
        if (!area) say("The model found nothing there.");
        else say(`Mask: ${described(masks[0])}${masks.length > 1 ? `; ${masks.length} candidates${touch.matches ? "" : ", C shows the next"}` : ""}.`);
      },
      (error) => {
        if (asked?.control === control) asked = null;
        if (isAbort(error)) return;
        refused = prompt;
        away = error instanceof ApiError && (error.status === 0 || error.status === 401);
        // The connection may be back before this answer is.
        if (away && live.status.value === "open") setTimeout(() => retry(), 1500);
        fail(error);
      },
    );
  });
}

/** Shows another candidate. */
export function choose(index: number): void {
  const made = pending.value;
  if (!made || made.candidates.length < 2) return;
  const chosen = (index + made.candidates.length) % made.candidates.length;
  change("Choose a candidate", (before) => ({ ...before, pending: { ...before.pending!, chosen } }), "candidate");
  say(`Candidate ${chosen + 1} of ${made.candidates.length}: ${described(made.candidates[chosen])}.`);
}

/** Names the object that is being made. */
export function namePending(name: string): void {
  change("Name the object", (before) => (before.pending ? { ...before, pending: { ...before.pending, name } } : before), "pending name");
}

/** Makes an object of what is pending, on top of the others; an edited one stays in its place. */
export function keep(): void {
  const made = pending.value;
  const rle = made && pendingMask(made);
  if (!made || !rle) return;
  const { prompt, candidates, chosen, answered, base, plus, minus } = made;
  const before = doc.value;
  const id = made.edits ?? before.next;
  const edited = before.items.find((item) => item.id === made.edits);
  const item = withMask(
    {
      ...(edited ?? { id }),
      id,
      name: made.name.trim(),
      color: made.color,
      score: candidates[chosen]?.score ?? edited?.score,
      source: edited?.source ?? (candidates.length ? "prompt" : "brush"),
      ...(prompt.points.length ? { point: prompt.points[0] } : {}),
      made: { prompt, candidates, chosen, answered, base, plus, minus },
    },
    rle,
  )!;
  change(edited ? "Edit an object" : "Keep an object", (now) => ({
    ...now,
    pending: null,
    items: edited ? now.items.map((one) => (one.id === id ? item : one)) : [item, ...now.items],
    next: edited ? now.next : now.next + 1,
  }));
  select([id]);
  say(`${edited ? "Changed" : "Kept"} ${item.name || `object ${id}`}: ${item.area.toLocaleString("en")} pixels.`);
}

/** Gives up what is pending; an edited object is as it was. */
export function discard(): void {
  if (!pending.value) return;
  const edits = pending.value.edits;
  change("Discard", (before) => ({ ...before, pending: null }));
  if (edits !== null) select([edits]);
  say("Discarded.");
}

/** Opens an object for editing: with its prompt where it is known, else as a mask that clicks add to. */
export function reopen(item: Item | undefined = selectedItems.value[0]): void {
  if (!item) return;
  if (item.locked) return say(`${item.name || `Object ${item.id}`} is locked.`);
  if (pending.value) keep();
  const made = item.made;
  // Its prompt counts only while it still leads to the mask: after a merge or a stroke the mask itself is the start.
  const start = made && (made.candidates.length || made.plus) ? made : { ...blank, base: item.rle };
  change("Open an object", (before) => ({
    ...before,
    pending: { ...start, edits: item.id, color: item.color, name: item.name },
  }));
  select([item.id]);
  say(`Editing ${item.name || `object ${item.id}`}. Enter keeps the change, Escape discards it.`);
}

const blank = { prompt: EMPTY_PROMPT, candidates: [], chosen: 0, answered: EMPTY_PROMPT, plus: null, minus: null };
