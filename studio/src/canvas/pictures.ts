/** The pixels of the pictures that are shown: fetched once, kept for the last few, with reduced copies for zooming out. */
import { signal } from "@preact/signals";
import { api, isAbort } from "../api";
import { withPicture } from "../pictures/upload";
import { fail, type Picture } from "../state";

export interface Pixels {
  /** The largest first, each half of the one before; scale is its width to the picture's. */
  levels: { image: ImageBitmap | HTMLCanvasElement; scale: number }[];
  transparent: boolean;
}

const LARGEST_SIDE = 4096;
const KEPT = 4;

const shown = new Map<string, Pixels>();
const wanted = new Map<string, Promise<void>>();
/** Grows when pixels arrive. */
export const arrived = signal(0);

/** The pixels of a picture, or null while they are fetched. */
export function pixelsOf(picture: Picture): Pixels | null {
  const pixels = shown.get(picture.key);
  if (!pixels) {
    void load(picture);
    return null;
  }
  shown.delete(picture.key);
  shown.set(picture.key, pixels);
  return pixels;
}

/** Fetches a picture's pixels if they are not there. */
export function load(picture: Picture): Promise<void> {
  if (shown.has(picture.key)) return Promise.resolve();
  let job = wanted.get(picture.key);
  if (!job) {
    job = fetchPixels(picture)
      .catch((error) => {
        if (!isAbort(error) && picture.status.value !== "error") fail(error);
      })
      .finally(() => setTimeout(() => wanted.delete(picture.key), 1000));
    wanted.set(picture.key, job);
  }
  return job;
}

async function fetchPixels(picture: Picture): Promise<void> {
  const blob = await withPicture(picture, (id) => api.pictures.image(id, LARGEST_SIDE));
  const bitmap = await createImageBitmap(blob);
  const scale = bitmap.width / picture.info.value!.width;
  const levels: Pixels["levels"] = [{ image: bitmap, scale }];
  let last = levels[0];
  while (Math.max(last.image.width, last.image.height) > 1024) {
    last = { image: half(last.image), scale: last.scale / 2 };
    levels.push(last);
  }
  shown.set(picture.key, { levels, transparent: blob.type !== "image/jpeg" });
  for (const [key, old] of shown) {
    if (shown.size <= KEPT) break;
    shown.delete(key);
    for (const { image } of old.levels) if (image instanceof ImageBitmap) image.close();
  }
  arrived.value++;
}

function half(image: ImageBitmap | HTMLCanvasElement): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.width / 2));
  canvas.height = Math.max(1, Math.round(image.height / 2));
  const context = canvas.getContext("2d")!;
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** The copy to draw at a zoom of `zoom` device pixels for one of the picture: the smallest that is large enough. */
export function levelFor(pixels: Pixels, zoom: number): Pixels["levels"][number] {
  let best = pixels.levels[0];
  for (const level of pixels.levels) if (level.scale >= zoom * 0.98) best = level;
  return best;
}

/** Forgets the pixels of a picture that was closed. */
export function forget(key: string): void {
  const old = shown.get(key);
  shown.delete(key);
  for (const { image } of old?.levels ?? []) if (image instanceof ImageBitmap) image.close();
}
