/** What the canvas shows of a video, and what pointing at it does. */
import { effect } from "@preact/signals";
import { guest, type Guest } from "../../canvas/guest";
import { MaskLayer, type Painted } from "../../canvas/layer";
import { drawPrompt, strokeOutline, type Frame } from "../../canvas/overlays";
import { drawVisible } from "../../canvas/renderer";
import { displayScale, outline } from "../../canvas/sprites";
import { SQUARES } from "../../canvas/view";
import { colorOf } from "../../masks/colors";
import { filming } from "../../slots";
import { tint } from "../../state";
import { at, chosen, chosenObject, clip, foundCount, hidden, masksOf, objects, point, removePoint } from "./clip";
import { playing, shown } from "./frames";

export const colorOfObject = (id: number) => colorOf(id - 1);

const layer = new MaskLayer();

/** Puts the open video onto the canvas while its page is shown. */
export function watchGuest(): void {
  effect(() => {
    const info = clip.value;
    guest.value = filming.value && info ? make(info.id, info.name, info.width, info.height) : null;
  });
}

function make(id: string, name: string, width: number, height: number): Guest {
  return {
    key: `video ${id}`,
    width,
    height,
    label: `Video ${name}. Arrow keys move a crosshair, Shift makes larger steps, Space adds a point, Shift and Space a background point.`,
    watch: () => [shown, at, objects, chosen, hidden, foundCount, tint].forEach((one) => one.value),
    draw: (frame, zoom) => draw(frame, zoom, width, height),
    addPoint: (pixel, label) => point(frameNow(), { points: [pixel], labels: [label] }),
    setBox: (box) => point(frameNow(), { box }),
    points: () => promptNow()?.points ?? [],
    removePoint,
    tap: () => (playing.value = !playing.peek()),
  };
}

/** Who points means the frame that is seen, even while another one is on its way. */
function frameNow(): number {
  playing.value = false;
  const index = shown.peek()?.index ?? at.peek();
  at.value = index;
  return index;
}

function promptNow() {
  return chosenObject.value?.prompts.find((prompt) => prompt.frame === (shown.value?.index ?? at.value)) ?? null;
}

function draw(frame: Frame, zoom: number, width: number, height: number): void {
  const now = shown.value;
  const { context, ratio, view } = frame;
  if (!now) return;
  const left = view.x * ratio;
  const top = view.y * ratio;
  context.imageSmoothingEnabled = view.scale < SQUARES;
  context.imageSmoothingQuality = "low";
  drawVisible(context, now.image, now.image.width / width, now.image.height / height, left, top, zoom);

  const masks = masksOf(now.index);
  const painted: Painted[] = [];
  for (const { id } of objects.value) {
    const mask = masks?.get(id);
    if (!mask || !mask.area || hidden.value.has(id)) continue;
    const one = { rle: mask.rle, color: colorOfObject(id), box: mask.box };
    if (id === chosen.value) painted.unshift(one);
    else painted.push(one);
  }
  layer.paint(painted, width, height);
  if (layer.canvas && layer.count) {
    context.globalAlpha = tint.value;
    context.imageSmoothingEnabled = zoom < layer.scale * 1.5;
    drawVisible(context, layer.canvas, layer.canvas.width / width, layer.canvas.height / height, left, top, zoom);
    context.globalAlpha = 1;
  }
  const id = chosen.value;
  const mine = id === null || hidden.value.has(id) ? null : masks?.get(id);
  if (mine?.area) strokeOutline(frame, outline(mine.rle, displayScale(mine.rle, zoom)), "#ffffff", 1.8);
  const prompt = promptNow();
  if (prompt && id !== null) drawPrompt(frame, prompt, colorOfObject(id));
}
