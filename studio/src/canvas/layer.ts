/** Many masks in one canvas of the picture's size (at most 16 megapixels), so that panning draws one image. */
import type { RLE } from "../api";
import { rasterise, type Region } from "../masks/region";
import { spansOf } from "../masks/rle";
import { tintInto } from "./sprites";

export interface Painted {
  rle: RLE;
  color: string;
  /** Inclusive, in pixels of the picture. */
  box: readonly [number, number, number, number];
}

const MOST_PIXELS = 16e6;
const MOST_CACHED = 96e6;

interface Rectangle {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export class MaskLayer {
  canvas: HTMLCanvasElement | null = null;
  /** Pixels of the layer for one of the picture. */
  scale = 1;
  /** Edges of large pictures are wider, so that they are seen when the whole picture is. */
  private thick = 1;
  private painted: readonly Painted[] = [];
  private size = "";
  private regions = new Map<RLE, Region>();
  private cached = 0;

  /** Shows `masks`, the first on top, in a picture of the given size. Only what changed is painted. */
  paint(masks: readonly Painted[], width: number, height: number): void {
    const size = `${width}x${height}`;
    if (size !== this.size) {
      this.size = size;
      this.scale = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
      this.thick = Math.max(1, Math.round((Math.max(width, height) * this.scale) / 1800));
      this.canvas = null;
      this.painted = [];
      this.regions.clear();
      this.cached = 0;
    }
    if (!masks.length && !this.painted.length) return;
    if (!this.canvas) {
      this.canvas = document.createElement("canvas");
      this.canvas.width = Math.max(1, Math.ceil(width * this.scale));
      this.canvas.height = Math.max(1, Math.ceil(height * this.scale));
    }
    const before = this.painted;
    this.painted = masks;
    const added = masks.length - before.length;
    if (added > 0 && before.every((mask, index) => same(mask, masks[index + added]))) {
      // New ones on top of what is there: nothing below has to be painted again.
      for (let index = added - 1; index >= 0; index--) this.over(masks[index]);
      return;
    }
    this.repaint(difference(before, masks));
  }

  /** The number of masks shown. */
  get count(): number {
    return this.painted.length;
  }

  private region(rle: RLE): Region {
    let region = this.regions.get(rle);
    if (region) return region;
    region = rasterise(spansOf(rle), ...rle.size, this.scale);
    this.regions.set(rle, region);
    this.cached += region.bits.length;
    for (const [old, bitmap] of this.regions) {
      if (this.cached <= MOST_CACHED) break;
      this.regions.delete(old);
      this.cached -= bitmap.bits.length;
    }
    return region;
  }

  private over(mask: Painted): void {
    const region = this.region(mask.rle);
    this.draw({ x0: region.x, y0: region.y, x1: region.x + region.width, y1: region.y + region.height }, [mask], true);
  }

  private repaint(changed: readonly Painted[]): void {
    if (!changed.length || !this.canvas) return;
    const s = this.scale;
    let area: Rectangle | null = null;
    for (const { box } of changed) {
      const own = {
        x0: Math.floor(box[0] * s) - 1,
        y0: Math.floor(box[1] * s) - 1,
        x1: Math.ceil((box[2] + 1) * s) + 1,
        y1: Math.ceil((box[3] + 1) * s) + 1,
      };
      area = area
        ? { x0: Math.min(area.x0, own.x0), y0: Math.min(area.y0, own.y0), x1: Math.max(area.x1, own.x1), y1: Math.max(area.y1, own.y1) }
        : own;
    }
    const dirty = area!;
    const touched = this.painted.filter(
      ({ box }) => box[0] * s <= dirty.x1 && (box[2] + 1) * s >= dirty.x0 && box[1] * s <= dirty.y1 && (box[3] + 1) * s >= dirty.y0,
    );
    this.draw(dirty, touched, false);
  }

  private draw(area: Rectangle, masks: readonly Painted[], keep: boolean): void {
    const canvas = this.canvas!;
    const x0 = Math.max(0, area.x0);
    const y0 = Math.max(0, area.y0);
    const width = Math.min(canvas.width, area.x1) - x0;
    const height = Math.min(canvas.height, area.y1) - y0;
    if (width <= 0 || height <= 0) return;
    // Read back often while masks come in, which a canvas on the graphics card is slow at.
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    const image = keep ? context.getImageData(x0, y0, width, height) : context.createImageData(width, height);
    const out = new Uint32Array(image.data.buffer);
    for (let index = masks.length - 1; index >= 0; index--) {
      const mask = masks[index];
      tintInto(out, x0, y0, width, height, this.region(mask.rle), mask.color, this.thick);
    }
    context.putImageData(image, x0, y0);
  }
}

function same(a: Painted, b: Painted): boolean {
  return a === b || (a.rle === b.rle && a.color === b.color);
}

/** The masks whose place has to be painted again: those that came, went, changed, or changed their order. */
function difference(before: readonly Painted[], after: readonly Painted[]): Painted[] {
  let start = 0;
  while (start < before.length && start < after.length && same(before[start], after[start])) start++;
  let end = 0;
  while (end < before.length - start && end < after.length - start && same(before[before.length - 1 - end], after[after.length - 1 - end])) end++;
  const old = before.slice(start, before.length - end);
  const now = after.slice(start, after.length - end);
  // One removed or one added in a run of many: all others in between are the same.
  const gone = new Set(old.map((mask) => mask.rle));
  const there = new Set(now.map((mask) => mask.rle));
  const came = now.filter((mask) => !gone.has(mask.rle));
  const went = old.filter((mask) => !there.has(mask.rle));
  const kept = now.filter((mask) => gone.has(mask.rle));
  const keptBefore = old.filter((mask) => there.has(mask.rle));
  const moved = kept.filter((mask, index) => !keptBefore[index] || !same(mask, keptBefore[index]));
  return [...came, ...went, ...moved];
}
