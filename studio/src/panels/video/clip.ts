/** The open video: its objects, what was said and found, and tracking. Nothing here draws. */
import { batch, computed, signal } from "@preact/signals";
import { api, ApiError, isAbort, type Box, type Point, type VideoInfo, type VideoMask, type VideoObject, type VideoPrompt } from "../../api";
import { fail, models, model, say, toast } from "../../state";
import { extended, nearest, without } from "./spans";

export type Direction = "forward" | "backward" | "both";

export const clip = signal<VideoInfo | null>(null);
export const objects = signal<readonly VideoObject[]>([]);
/** The frame that is to be shown; the one that is, once it has arrived, is `shown` of frames.ts. */
export const at = signal(0);
/** The object that clicks go to; null where the next one makes a new object. */
export const chosen = signal<number | null>(null);
export const hidden = signal<ReadonlySet<number>>(new Set());
/** The name of a video that is on its way to the server, or "". */
export const opening = signal("");
/** How far tracking is. */
export const run = signal<{ direction: Direction; done: number; total: number; fps: number; ending: boolean } | null>(null);
/** Grows when masks come or go. */
export const foundCount = signal(0);
/** Prompts that are on their way. */
export const asking = signal(0);

export const last = computed(() => Math.max(0, (clip.value?.frames ?? 1) - 1));
export const chosenObject = computed(() => objects.value.find((one) => one.id === chosen.value) ?? null);
/** What was said of the chosen object on the frame. */
export const chosenPrompt = computed(() => chosenObject.value?.prompts.find((prompt) => prompt.frame === at.value) ?? null);
export const trackers = computed(() => models.value?.models.filter((one) => one.tracks) ?? []);

const found = new Map<number, Map<number, VideoMask>>();
let file: File | null = null;
let uploading: AbortController | null = null;
let tracking: AbortController | null = null;
let queue: Promise<unknown> = Promise.resolve();
/** What was said of an object on a frame before each thing that was said, to be taken back. */
const said = signal<readonly { object: number; frame: number; before: VideoPrompt | null }[]>([]);
export const undoable = computed(() => said.value.length > 0);

/** The masks of a frame, by object. */
export function masksOf(frame: number): ReadonlyMap<number, VideoMask> | undefined {
  return found.get(frame);
}

/** Opens a video file in place of the one that is open. */
export async function open(given: File): Promise<void> {
  const limit = models.value?.limits.upload_bytes;
  if (limit && given.size > limit) {
    toast(`${given.name} has ${megabytes(given.size)} MB; this server takes ${megabytes(limit)} MB. Cut it, or start the server with --max-upload.`, "error");
    return;
  }
  uploading?.abort();
  const control = (uploading = new AbortController());
  opening.value = given.name;
  try {
    const name = trackers.value.find((one) => one.name === model.value)?.name ?? trackers.value[0]?.name ?? null;
    const info = await api.videos.open(given, given.name, name, control.signal);
    close();
    file = given;
    adopt(info);
    say(`Opened ${info.name}: ${info.frames} frames, ${info.width} × ${info.height}.`);
    if (info.trouble) toast(`${info.name}: ${info.trouble}.`);
  } catch (error) {
    if (!isAbort(error)) fail(error);
  } finally {
    if (uploading === control) {
      uploading = null;
      opening.value = "";
    }
  }
}

/** Gives up a video that is on its way. */
export function stopOpening(): void {
  uploading?.abort();
}

/** Closes the video; the server forgets it. */
export function close(): void {
  const open = clip.value;
  if (!open) return;
  tracking?.abort();
  batch(() => {
    clip.value = null;
    forget();
  });
  file = null;
  remember(null);
  // One that was closed by the server meanwhile is closed.
  api.videos.close(open.id).catch(() => {});
}

function adopt(info: VideoInfo): void {
  batch(() => {
    forget();
    clip.value = info;
    objects.value = info.objects;
  });
  remember(info.id);
}

const STORED = "anymask.video";

/** Keeps the video's id over a reload of the page; the server has the rest. */
function remember(id: string | null): void {
  try {
    if (id) sessionStorage.setItem(STORED, id);
    else sessionStorage.removeItem(STORED);
  } catch {
    // A browser that keeps nothing.
  }
}

/** Goes on with the video that was open before the page was loaded again, where the server still has it. */
export async function restore(): Promise<void> {
  let id: string | null = null;
  try {
    id = sessionStorage.getItem(STORED);
  } catch {
    // As above.
  }
  if (!id || clip.value || opening.value) return;
  remember(null);
  const info = await api.videos.get(id).catch(() => null);
  if (info && !clip.value && !opening.value) adopt(info);
}

function forget(): void {
  found.clear();
  foundCount.value++;
  objects.value = [];
  said.value = [];
  chosen.value = null;
  hidden.value = new Set();
  at.value = 0;
}

function put(frame: number, masks: readonly VideoMask[]): void {
  const known = new Map(found.get(frame));
  for (const mask of masks) known.set(mask.object, mask);
  found.set(frame, known);
  foundCount.value++;
}

/** Keeps only the masks that the server still has. */
function settle(now: readonly VideoObject[]): void {
  for (const [frame, masks] of found) {
    for (const id of masks.keys()) {
      const spans = now.find((one) => one.id === id)?.spans ?? [];
      if (!spans.some(([first, end]) => first <= frame && frame <= end)) masks.delete(id);
    }
  }
  batch(() => {
    foundCount.value++;
    objects.value = now;
    if (!now.some((one) => one.id === chosen.value)) chosen.value = null;
  });
}

/** Fetches what was found on a frame where this page does not have it. */
export async function fetchMasks(frame: number): Promise<void> {
  const open = clip.peek();
  const there = (one: VideoObject) => one.spans.some(([first, end]) => first <= frame && frame <= end);
  if (!open || fetching.has(frame) || !objects.peek().some((one) => there(one) && !found.get(frame)?.has(one.id))) return;
  fetching.add(frame);
  try {
    const { masks } = await api.videos.masks(open.id, frame);
    if (clip.value === open) put(frame, masks);
  } catch (error) {
    lost(error);
  } finally {
    fetching.delete(frame);
  }
}

const fetching = new Set<number>();

/** A click or a box on the frame that is shown: of the chosen object, or of a new one. */
export function point(frame: number, given: { points?: Point[]; labels?: (0 | 1)[]; box?: Box }): void {
  if (given.labels?.[0] === 0 && chosen.value === null) return say("A point of the background needs an object: click into one first.");
  if (chosen.value === null) chosen.value = next();
  const object = chosen.value;
  const before = promptOf(object, frame);
  // What is said is shown at once; the answer takes its place.
  objects.value = withPrompt(objects.value, object, {
    frame,
    points: [...(before?.points ?? []), ...(given.points ?? [])],
    labels: [...(before?.labels ?? []), ...(given.labels ?? [])],
    box: given.box ?? before?.box ?? null,
    mask: false,
  });
  said.value = [...said.value.slice(-199), { object, frame, before }];
  ask(async (video) => {
    const { mask, objects: now } = await api.videos.prompt(video, { frame, object, ...given });
    put(frame, [mask]);
    settle(now);
    say(mask.area ? `Object ${object} on frame ${frame + 1}: ${mask.area.toLocaleString("en")} pixels.` : "The model found nothing there.");
  });
}

/** Takes one of the chosen object's points on the frame away. */
export function removePoint(index: number): void {
  const prompt = chosenPrompt.value;
  if (!prompt || chosen.value === null) return;
  const rest = <T>(list: readonly T[]) => list.filter((_, place) => place !== index);
  said.value = [...said.value, { object: chosen.value, frame: prompt.frame, before: prompt }];
  restate(chosen.value, prompt.frame, { ...prompt, points: rest(prompt.points), labels: rest(prompt.labels) });
}

/** Takes back all that was said of the chosen object on the frame. */
export function clearFrame(): void {
  const prompt = chosenPrompt.value;
  if (!prompt || chosen.value === null) return;
  said.value = [...said.value, { object: chosen.value, frame: prompt.frame, before: prompt }];
  restate(chosen.value, prompt.frame, null);
}

/** Takes back the last thing that was said. */
export function undo(): void {
  const step = said.value.at(-1);
  if (!step) return;
  said.value = said.value.slice(0, -1);
  at.value = step.frame;
  restate(step.object, step.frame, step.before);
  say("Undone.");
}

/** Says something else of an object on a frame, or nothing any more. */
function restate(object: number, frame: number, prompt: VideoPrompt | null): void {
  const says = prompt && (prompt.box || prompt.labels.includes(1));
  if (!says && !promptOf(object, frame)) return;
  objects.value = withPrompt(objects.value, object, says ? prompt : null, frame);
  ask(async (video) => {
    if (!says) return settle((await api.videos.clear(video, frame, object)).objects);
    const { points, labels, box } = prompt;
    const body = { frame, object, ...(points.length ? { points, labels } : {}), ...(box ? { box } : {}), replace: true };
    const answer = await api.videos.prompt(video, body);
    put(frame, [answer.mask]);
    settle(answer.objects);
    chosen.value = object;
  });
}

/** Follows an object no longer. */
export function remove(id: number): void {
  const gone = objects.value.find((one) => one.id === id);
  if (!gone) return;
  said.value = said.value.filter((step) => step.object !== id);
  ask(async (video) => {
    settle((await api.videos.remove(video, id)).objects);
    const back = () => gone.prompts.forEach((prompt) => restate(id, prompt.frame, prompt));
    toast(`Removed object ${id}.`, "info", { title: "Put its points back", run: back });
  });
}

/** Forgets all objects; another model may go on. */
export function reset(name: string | null): void {
  ask(async (video) => {
    const info = await api.videos.reset(video, name);
    const frame = at.value;
    adopt(info);
    at.value = frame;
  });
}

/** Follows the objects through the video from the frame that is shown, or from where they are known. */
export async function track(direction: Direction): Promise<void> {
  const open = clip.value;
  if (!open || run.value) return;
  const control = (tracking = new AbortController());
  run.value = { direction, done: 0, total: 0, fps: 0, ending: false };
  await queue;
  const from = at.value;
  const ways: { reverse: boolean; start?: number }[] = [];
  if (direction !== "backward") ways.push({ reverse: false, start: startOf(from, false) });
  if (direction !== "forward") ways.push({ reverse: true, start: startOf(from, true) });
  if (ways.every((way) => way.start === (way.reverse ? 0 : last.value))) {
    run.value = null;
    return say("There are no further frames in this direction.");
  }
  let frames = 0;
  let seconds = 0;
  try {
    for (const way of ways) {
      if (run.value?.ending) break;
      const end = await follow(open, way, frames, control.signal);
      frames += end.frames;
      seconds += end.frames / Math.max(0.01, end.fps);
    }
    const ending = run.value?.ending;
    say(`${ending ? "Stopped after" : "Tracked"} ${frames} ${frames === 1 ? "frame" : "frames"}, ${(frames / Math.max(0.01, seconds)).toFixed(1)} a second.`);
  } catch (error) {
    lost(error);
  } finally {
    if (tracking === control) run.value = tracking = null;
    if (clip.value === open) api.videos.get(open.id).then((info) => clip.value === open && settle(info.objects), lost);
  }
}

async function follow(open: VideoInfo, way: { reverse: boolean; start?: number }, before: number, signal: AbortSignal): Promise<{ frames: number; fps: number }> {
  let here = at.peek();
  let total = 0;
  for await (const line of api.videos.propagate(open.id, way, signal)) {
    if (clip.value !== open) break;
    if (line.type === "error") throw new ApiError(line.status, line.error);
    if (line.type === "done") {
      if (line.trouble) toast(`${open.name}: ${line.trouble}.`);
      return line;
    }
    if (line.type === "start") total = line.total;
    else {
      batch(() => {
        put(line.frame, line.masks);
        objects.value = objects.value.map((one) => {
          const mask = line.masks.find((found) => found.object === one.id);
          if (!mask) return one;
          const absent = mask.area ? without(one.absent, [[line.frame, line.frame]]) : extended(one.absent, line.frame);
          return { ...one, spans: extended(one.spans, line.frame), absent };
        });
        run.value = { ...run.value!, done: before + line.done, total: before + total, fps: line.fps };
        // The page goes along, unless the person went elsewhere.
        if (at.value === here || line.done === 1) at.value = here = line.frame;
      });
    }
  }
  if (clip.value === open) throw new ApiError(0, BROKEN);
  return { frames: 0, fps: 0 };
}

/** Where to begin: at the frame, or where all that are known in this direction were last seen before it. */
function startOf(frame: number, reverse: boolean): number | undefined {
  const known = objects.value.filter((one) => one.prompts.some((prompt) => (reverse ? prompt.frame >= frame : prompt.frame <= frame)));
  if (!known.length) return undefined;
  const starts = known.map((one) => nearest(one.spans, frame, reverse) ?? frame);
  return reverse ? Math.max(...starts) : Math.min(...starts);
}

/** Ends tracking at its next frame; what was found stays. */
export function cancel(): void {
  const open = clip.value;
  if (!open || !run.value || run.value.ending) return;
  run.value = { ...run.value, ending: true };
  api.videos.cancel(open.id).catch(lost);
}

/** Goes to a frame. */
export function seek(frame: number): void {
  at.value = Math.min(last.value, Math.max(0, Math.round(frame)));
}

/** Goes to the next frame, or the one before, that something was said of. */
export function seekMark(step: 1 | -1): void {
  const marks = [...new Set(objects.value.flatMap((one) => one.prompts.map((prompt) => prompt.frame)))].sort((a, b) => a - b);
  const frame = step > 0 ? marks.find((mark) => mark > at.value) : marks.filter((mark) => mark < at.value).at(-1);
  if (frame === undefined) return say("There is no further prompted frame.");
  seek(frame);
}

/** Chooses the next object, or the one before. */
export function chooseNext(step: 1 | -1): void {
  const all = objects.value;
  if (!all.length) return;
  const now = all.findIndex((one) => one.id === chosen.value);
  chosen.value = all[now < 0 ? (step > 0 ? 0 : all.length - 1) : (now + step + all.length) % all.length].id;
  say(`Object ${chosen.value}.`);
}

/** Does something on the server, after what was asked before. */
function ask(work: (video: string) => Promise<void>): void {
  const open = clip.value;
  if (!open) return;
  asking.value++;
  queue = queue
    .then(() => (clip.value === open ? work(open.id) : undefined))
    .catch(async (error) => {
      if (!lost(error) || clip.value !== open) return;
      // What was shown ahead of the answer is taken back.
      await api.videos.get(open.id).then((info) => clip.value === open && settle(info.objects), () => {});
    })
    .finally(() => asking.value--);
}

/** Tells what went wrong. A video that the server closed is closed here too: false. */
export function lost(error: unknown): boolean {
  const gone = error instanceof ApiError && (error.status === 404 || error.status === 410);
  const again = file;
  if (gone && clip.value && /video/.test(error.message) && !/frame|object/.test(error.message)) {
    clip.value = null;
    forget();
    remember(null);
    toast(error.message, "error", again ? { title: "Open it again", run: () => void open(again) } : undefined);
    return false;
  }
  // A stream that ends in the middle is no error with a sentence of its own.
  if (!isAbort(error)) fail(error instanceof TypeError ? new ApiError(0, BROKEN) : error);
  return true;
}

const BROKEN = "The connection to the server broke off.";

function next(): number {
  return Math.max(0, ...objects.value.map((one) => one.id), ...said.value.map((step) => step.object)) + 1;
}

function promptOf(object: number, frame: number): VideoPrompt | null {
  return objects.value.find((one) => one.id === object)?.prompts.find((prompt) => prompt.frame === frame) ?? null;
}

function withPrompt(all: readonly VideoObject[], id: number, prompt: VideoPrompt | null, frame = prompt!.frame): VideoObject[] {
  const known = all.some((one) => one.id === id) ? all : [...all, { id, prompts: [], spans: [], absent: [] }];
  return known.map((one) => {
    if (one.id !== id) return one;
    const others = one.prompts.filter((other) => other.frame !== frame);
    return { ...one, prompts: prompt ? [...others, prompt].sort((a, b) => a.frame - b.frame) : others };
  });
}

const megabytes = (bytes: number) => Math.round(bytes / 2 ** 20).toLocaleString("en");
