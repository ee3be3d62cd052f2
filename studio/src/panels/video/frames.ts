/** The pixels of the frames: fetched as they are wanted, the newest wish first, the last few kept. */
import { effect, signal } from "@preact/signals";
import { api } from "../../api";
import { viewport } from "../../canvas/view";
import { view } from "../../state";
import { at, clip, fetchMasks, last, lost, objects } from "./clip";

export interface Shown {
  video: string;
  index: number;
  image: ImageBitmap;
}

/** The frame that is on the canvas. */
export const shown = signal<Shown | null>(null);
export const playing = signal(false);

const MOST_PIXELS = 48e6;
const SIZES = [960, 1600, 8192];
/** Frames that are fetched ahead while the video plays. */
const AHEAD = 3;

const kept = new Map<string, ImageBitmap>();
let pixels = 0;
let busy = false;

/** The longer side that is asked for: as large as it is seen. */
function side(): number {
  const info = clip.value;
  if (!info) return SIZES[0];
  const seen = Math.max(info.width, info.height) * view.value.scale * viewport.value.ratio;
  return SIZES.find((size) => size >= seen) ?? SIZES[SIZES.length - 1];
}

const keyOf = (video: string, index: number, size: number) => `${video} ${index} ${size}`;

/** Shows the frame that is wanted, and fetches it and its masks where they are not there. */
export function watchFrames(): void {
  effect(() => {
    const info = clip.value;
    at.value;
    side();
    if (!info) {
      shown.value = null;
      playing.value = false;
      drop();
      return;
    }
    void work();
  });
  effect(() => {
    objects.value;
    if (clip.value) void fetchMasks(at.value);
  });
  effect(() => {
    if (playing.value) play();
  });
}

async function work(): Promise<void> {
  if (busy) return;
  busy = true;
  try {
    for (;;) {
      const info = clip.peek();
      if (!info) return;
      const index = at.peek();
      const size = side();
      const image = await take(info.id, index, size);
      if (clip.peek()?.id !== info.id) continue;
      shown.value = { video: info.id, index, image };
      if (at.peek() === index && side() === size) return;
    }
  } catch (error) {
    lost(error);
  } finally {
    busy = false;
  }
}

async function take(video: string, index: number, size: number): Promise<ImageBitmap> {
  const key = keyOf(video, index, size);
  const known = kept.get(key);
  if (known) {
    kept.delete(key);
    kept.set(key, known);
    return known;
  }
  const image = await createImageBitmap(await api.videos.frame(video, index, size));
  kept.set(key, image);
  pixels += image.width * image.height;
  for (const [old, bitmap] of kept) {
    if (pixels <= MOST_PIXELS || old === key) break;
    if (bitmap === shown.peek()?.image) continue;
    kept.delete(old);
    pixels -= bitmap.width * bitmap.height;
    bitmap.close();
  }
  return image;
}

function drop(): void {
  for (const bitmap of kept.values()) bitmap.close();
  kept.clear();
  pixels = 0;
}

/** Plays from the frame that is shown, in the video's own time; frames that do not arrive in time are left out. */
function play(): void {
  const info = clip.peek();
  if (!info) return;
  if (at.peek() >= last.peek()) at.value = 0;
  let from = at.peek();
  let since = performance.now();
  let set = from;
  const step = (time: number) => {
    if (!playing.peek() || clip.peek() !== info) return;
    if (at.peek() !== set) {
      // Somebody went elsewhere meanwhile: on from there.
      from = set = at.peek();
      since = time;
    }
    const index = Math.min(last.peek(), from + Math.floor(((time - since) / 1000) * (info.fps || 25)));
    const ready = shown.peek()?.index === set;
    if (index > set && ready) at.value = set = index;
    if (set >= last.peek()) return void (playing.value = false);
    prefetch(info.id, set);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

let ahead = false;

function prefetch(video: string, index: number): void {
  if (ahead) return;
  const size = side();
  for (let number = index + 1; number <= Math.min(last.peek(), index + AHEAD); number++) {
    if (kept.has(keyOf(video, number, size))) continue;
    ahead = true;
    take(video, number, size)
      .catch(() => {})
      .finally(() => (ahead = false));
    return;
  }
}
