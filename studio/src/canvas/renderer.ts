/** Draws the canvas when something changed, once a frame at most. */
import { effect } from "@preact/signals";
import { brushSize, current, doc, hoveredItem, pending, selection, tint, tool, view, type Picture } from "../state";
import { theme } from "../theme";
import type { RLE } from "../api";
import type { Pending } from "../doc";
import { pendingMask } from "../masks/pending";
import { search } from "../tools/everything";
import { MaskLayer } from "./layer";
import { frameDone } from "./measure";
import { drawBox, drawBrush, drawCrosshair, drawPrompt, strokeDashed, strokeLine, strokeOutline, type Frame } from "./overlays";
import { arrived, levelFor, pixelsOf } from "./pictures";
import { guest } from "./guest";
import { brushAt, crosshair, dragBox, found, foundHovered, hover, stroke, timing, type Hover } from "./scene";
import { displayScale, outline, sprite } from "./sprites";
import { SQUARES, viewport } from "./view";

const FADE = 140;
const MOST_OUTLINES = 40;
const MOST_DASHED = 150;
const reduced = window.matchMedia("(prefers-reduced-motion: reduce)");

export class Renderer {
  private readonly context: CanvasRenderingContext2D;
  private readonly objects = new MaskLayer();
  /** Objects that a model filled in and nobody has confirmed: paler, with dashed outlines. */
  private readonly unsure = new MaskLayer();
  private readonly candidates = new MaskLayer();
  private readonly scratch = document.createElement("canvas");
  private requested = 0;
  private fading: { hover: Hover; since: number } | null = null;
  private lastHover: Hover | null = null;
  private colors = { back: "#000", a: "#222", b: "#333", line: "#444" };
  private checks: CanvasPattern | null = null;
  private readonly stop: () => void;

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d", { alpha: false })!;
    const watched = [current, doc, selection, hoveredItem, tint, tool, brushSize, view, viewport, arrived];
    const momentary = [hover, stroke, dragBox, crosshair, brushAt, search, found, foundHovered];
    const stops = [
      effect(() => {
        theme.value;
        this.readColors();
        this.request();
      }),
      effect(() => {
        for (const one of [...watched, ...momentary]) one.value;
        current.value?.info.value;
        guest.value?.watch();
        this.request();
      }),
    ];
    this.stop = () => stops.forEach((end) => end());
  }

  destroy(): void {
    this.stop();
    cancelAnimationFrame(this.requested);
    this.requested = -1;
  }

  request(): void {
    this.requested ||= requestAnimationFrame((time) => {
      this.requested = 0;
      const start = performance.now();
      this.draw(time);
      frameDone(start, performance.now());
    });
  }

  private readColors(): void {
    const style = getComputedStyle(document.documentElement);
    const read = (name: string) => style.getPropertyValue(name).trim();
    this.colors = { back: read("--canvas"), a: read("--check-a"), b: read("--check-b"), line: read("--line-strong") };
    const tile = document.createElement("canvas");
    tile.width = tile.height = 16;
    const context = tile.getContext("2d")!;
    context.fillStyle = this.colors.a;
    context.fillRect(0, 0, 16, 16);
    context.fillStyle = this.colors.b;
    context.fillRect(0, 0, 8, 8);
    context.fillRect(8, 8, 8, 8);
    this.checks = this.context.createPattern(tile, "repeat");
  }

  private draw(time: number): void {
    const { width, height, ratio } = viewport.value;
    const w = Math.max(1, Math.round(width * ratio));
    const h = Math.max(1, Math.round(height * ratio));
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
    }
    const { context } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.fillStyle = this.colors.back;
    context.fillRect(0, 0, w, h);
    const frame: Frame = { context, ratio, view: view.value };
    const zoom = view.value.scale * ratio;
    if (guest.value) {
      guest.value.draw(frame, zoom);
      if (dragBox.value) drawBox(frame, dragBox.value, "#fff");
      if (crosshair.value) drawCrosshair(frame, crosshair.value);
      return;
    }
    const picture = current.value;
    const info = picture?.info.value;
    if (!picture || !info) return;
    this.drawPicture(frame, picture, info.width, info.height);
    this.drawLayers(frame, info.width, info.height);
    this.drawHover(frame, zoom, time);
    this.drawPending(frame, zoom);
    this.drawOutlines(frame, zoom);
    const asked = pending.value;
    if (asked) drawPrompt(frame, asked.prompt, asked.color);
    if (dragBox.value) drawBox(frame, dragBox.value, "#fff");
    if (crosshair.value) drawCrosshair(frame, crosshair.value);
    if (brushAt.value && (tool.value === "brush" || tool.value === "eraser")) {
      drawBrush(frame, brushAt.value, brushSize.value, tool.value === "eraser" || !!stroke.value?.erase);
    }
    if (timing.since) {
      timing.last = performance.now() - timing.since;
      timing.since = 0;
    }
  }

  private drawPicture({ context, ratio, view }: Frame, picture: Picture, width: number, height: number): void {
    const zoom = view.scale * ratio;
    const left = view.x * ratio;
    const top = view.y * ratio;
    const pixels = pixelsOf(picture);
    if (!pixels || pixels.transparent) {
      context.fillStyle = this.checks ?? this.colors.a;
      context.fillRect(left, top, width * zoom, height * zoom);
    }
    if (!pixels) return;
    const level = levelFor(pixels, zoom);
    context.imageSmoothingEnabled = view.scale < SQUARES;
    context.imageSmoothingQuality = "low";
    drawVisible(context, level.image, level.image.width / width, level.image.height / height, left, top, zoom);
  }

  private drawLayers({ context, ratio, view }: Frame, width: number, height: number): void {
    const edited = pending.value?.edits;
    const covered = stroke.value && !pending.value ? [...selection.value][0] : null;
    const shown = doc.value.items.filter((item) => !item.hidden && item.id !== edited && item.id !== covered);
    this.objects.paint(
      shown.filter((item) => item.confirmed !== false),
      width,
      height,
    );
    this.unsure.paint(
      shown.filter((item) => item.confirmed === false),
      width,
      height,
    );
    this.candidates.paint(found.value, width, height);
    for (const layer of [this.unsure, this.objects, this.candidates]) {
      if (!layer.canvas || !layer.count) continue;
      // What is being made stands out from what is there.
      const aside = layer !== this.candidates && (pending.value || search.value);
      const pale = (aside ? 0.4 : 1) * (layer === this.unsure ? 0.6 : 1);
      context.globalAlpha = tint.value * pale;
      context.imageSmoothingEnabled = view.scale * ratio < layer.scale * 1.5;
      context.imageSmoothingQuality = "low";
      const zoom = view.scale * ratio;
      drawVisible(context, layer.canvas, layer.canvas.width / width, layer.canvas.height / height, view.x * ratio, view.y * ratio, zoom);
    }
    context.globalAlpha = 1;
  }

  private drawHover(frame: Frame, zoom: number, time: number): void {
    const now = hover.value;
    if (now) this.fading = null;
    else if (this.lastHover && !reduced.matches && !pending.value) this.fading = { hover: this.lastHover, since: time };
    this.lastHover = now;
    let alpha = 1;
    if (!now && this.fading) {
      alpha = 1 - (time - this.fading.since) / FADE;
      if (alpha <= 0 || pending.value) this.fading = null;
      else this.request();
    }
    const shown = now ?? this.fading?.hover;
    if (!shown) return;
    this.drawSprite(frame, shown.rle, shown.color, zoom, alpha * 0.9);
    strokeOutline(frame, outline(shown.rle, displayScale(shown.rle, zoom)), shown.color, 1.5, alpha);
  }

  private drawSprite(frame: Frame, rle: RLE, color: string, zoom: number, alpha: number, context = frame.context): void {
    const scale = displayScale(rle, zoom);
    const made = sprite(rle, color, scale);
    if (!made) return;
    const { ratio, view } = frame;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = alpha;
    context.imageSmoothingEnabled = zoom < scale * 1.5;
    const perPixel = made.canvas.width / made.width;
    drawVisible(context, made.canvas, perPixel, perPixel, (made.x * view.scale + view.x) * ratio, (made.y * view.scale + view.y) * ratio, zoom);
    context.globalAlpha = 1;
  }

  private drawPending(frame: Frame, zoom: number): void {
    const line = stroke.value;
    const item = line && !pending.value ? doc.value.items.find((one) => selection.value.has(one.id)) : null;
    const rle = pending.value ? pendingMask(pending.value) : item?.rle;
    const color = pending.value?.color ?? item?.color ?? line?.color;
    if (!line) {
      if (rle) this.drawSprite(frame, rle, color!, zoom, 0.95);
      return;
    }
    // The stroke joins the mask before both are laid over the picture, so that they look like one.
    const { scratch, canvas } = this;
    if (scratch.width !== canvas.width || scratch.height !== canvas.height) {
      scratch.width = canvas.width;
      scratch.height = canvas.height;
    }
    const context = scratch.getContext("2d")!;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, scratch.width, scratch.height);
    if (rle) this.drawSprite(frame, rle, color!, zoom, 1, context);
    const on: Frame = { ...frame, context };
    context.globalCompositeOperation = "destination-out";
    context.strokeStyle = "#000";
    strokeLine(on, line.points, line.radius);
    if (!line.erase) {
      context.globalCompositeOperation = "source-over";
      context.strokeStyle = `${color}80`;
      strokeLine(on, line.points, line.radius);
    }
    frame.context.setTransform(1, 0, 0, 1, 0, 0);
    frame.context.drawImage(scratch, 0, 0);
  }

  private drawOutlines(frame: Frame, zoom: number): void {
    const made: Pending | null = pending.value;
    if (made && !stroke.value) {
      const rle = pendingMask(made);
      if (rle) strokeOutline(frame, outline(rle, displayScale(rle, zoom)), "#ffffff", 1.8);
    }
    if (foundHovered.value) strokeOutline(frame, outline(foundHovered.value, displayScale(foundHovered.value, zoom)), "#ffffff", 1.5);
    if (made || stroke.value) return;
    let dashed = 0;
    for (const item of doc.value.items) {
      if (item.hidden || item.confirmed !== false || selection.value.has(item.id) || ++dashed > MOST_DASHED) continue;
      strokeDashed(frame, outline(item.rle, displayScale(item.rle, zoom)), item.color);
    }
    let count = 0;
    for (const item of doc.value.items) {
      const chosen = selection.value.has(item.id);
      if (item.hidden || !(chosen || item.id === hoveredItem.value) || ++count > MOST_OUTLINES) continue;
      strokeOutline(frame, outline(item.rle, displayScale(item.rle, zoom)), chosen ? "#ffffff" : item.color, chosen ? 1.8 : 1.5);
    }
  }
}

/** Draws the part of an image that is on the canvas. `sx`, `sy`: its pixels for one of the picture. */
export function drawVisible(
  context: CanvasRenderingContext2D,
  image: CanvasImageSource & { width: number; height: number },
  sx: number,
  sy: number,
  left: number,
  top: number,
  zoom: number,
): void {
  const { width, height } = context.canvas;
  // Whole pixels of the image, so that enlarged squares stay where they are.
  const x0 = Math.max(0, Math.floor((-left / zoom) * sx) - 1);
  const y0 = Math.max(0, Math.floor((-top / zoom) * sy) - 1);
  const x1 = Math.min(image.width, Math.ceil(((width - left) / zoom) * sx) + 1);
  const y1 = Math.min(image.height, Math.ceil(((height - top) / zoom) * sy) + 1);
  if (x1 <= x0 || y1 <= y0) return;
  const kx = zoom / sx;
  const ky = zoom / sy;
  context.drawImage(image, x0, y0, x1 - x0, y1 - y0, left + x0 * kx, top + y0 * ky, (x1 - x0) * kx, (y1 - y0) * ky);
}
