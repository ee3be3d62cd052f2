/** What lies over picture and masks with a constant size on the screen: outlines, points, boxes, cursors. */
import type { Prompt } from "../doc";

export interface Frame {
  context: CanvasRenderingContext2D;
  /** Device pixels for one CSS pixel. */
  ratio: number;
  view: { scale: number; x: number; y: number };
}

/** Draws in pixels of the picture; widths given in CSS pixels are divided by the scale. */
function inPicture({ context, ratio, view }: Frame): number {
  const scale = view.scale * ratio;
  context.setTransform(scale, 0, 0, scale, view.x * ratio, view.y * ratio);
  return 1 / view.scale;
}

function onScreen({ context, ratio }: Frame): void {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
}

/** An outline in two strokes: a dark one that shows on light pictures, and the colour on it. */
export function strokeOutline(frame: Frame, path: Path2D, color: string, width: number, alpha = 1): void {
  const pixel = inPicture(frame);
  const { context } = frame;
  context.lineJoin = "round";
  context.globalAlpha = alpha;
  context.setLineDash([]);
  context.strokeStyle = "rgb(8 10 12 / 0.72)";
  context.lineWidth = (width + 2) * pixel;
  context.stroke(path);
  context.strokeStyle = color;
  context.lineWidth = width * pixel;
  context.stroke(path);
  context.globalAlpha = 1;
}

/** The outline of an object that nobody has confirmed yet. */
export function strokeDashed(frame: Frame, path: Path2D, color: string): void {
  const pixel = inPicture(frame);
  const { context } = frame;
  context.lineJoin = "round";
  context.strokeStyle = "rgb(8 10 12 / 0.6)";
  context.lineWidth = 2.6 * pixel;
  context.setLineDash([6 * pixel, 4 * pixel]);
  context.stroke(path);
  context.strokeStyle = color;
  context.lineWidth = 1.6 * pixel;
  context.stroke(path);
  context.setLineDash([]);
}

/** The points and the box of a prompt. */
export function drawPrompt(frame: Frame, prompt: Prompt, color: string): void {
  const { context, view } = frame;
  if (prompt.box) drawBox(frame, prompt.box, color, true);
  onScreen(frame);
  prompt.points.forEach(([x, y], index) => {
    const cx = (x + 0.5) * view.scale + view.x;
    const cy = (y + 0.5) * view.scale + view.y;
    const inside = prompt.labels[index] === 1;
    context.beginPath();
    context.arc(cx, cy, 6, 0, Math.PI * 2);
    context.fillStyle = inside ? "#17b890" : "#e5484d";
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = "#fff";
    context.stroke();
    context.lineWidth = 1;
    context.strokeStyle = "rgb(0 0 0 / 0.55)";
    context.beginPath();
    context.arc(cx, cy, 7.5, 0, Math.PI * 2);
    context.stroke();
    context.lineWidth = 1.6;
    context.strokeStyle = "#fff";
    context.beginPath();
    context.moveTo(cx - 2.8, cy);
    context.lineTo(cx + 2.8, cy);
    if (inside) {
      context.moveTo(cx, cy - 2.8);
      context.lineTo(cx, cy + 2.8);
    }
    context.stroke();
  });
}

/** A box (inclusive) along the edges of its pixels. */
export function drawBox(frame: Frame, [x0, y0, x1, y1]: readonly [number, number, number, number], color: string, quiet = false): void {
  const { context, view } = frame;
  onScreen(frame);
  const left = x0 * view.scale + view.x;
  const top = y0 * view.scale + view.y;
  const width = (x1 + 1 - x0) * view.scale;
  const height = (y1 + 1 - y0) * view.scale;
  context.lineWidth = 3;
  context.strokeStyle = "rgb(8 10 12 / 0.6)";
  context.strokeRect(left, top, width, height);
  context.lineWidth = 1.5;
  context.strokeStyle = quiet ? color : "#fff";
  context.setLineDash(quiet ? [6, 4] : []);
  context.strokeRect(left, top, width, height);
  context.setLineDash([]);
}

/** The circle of the brush. */
export function drawBrush(frame: Frame, [x, y]: readonly [number, number], diameter: number, erase: boolean): void {
  const { context } = frame;
  onScreen(frame);
  context.beginPath();
  context.arc(x, y, Math.max(1.5, diameter / 2), 0, Math.PI * 2);
  context.lineWidth = 3;
  context.strokeStyle = "rgb(8 10 12 / 0.5)";
  context.stroke();
  context.lineWidth = 1.4;
  context.strokeStyle = "#fff";
  context.setLineDash(erase ? [4, 3] : []);
  context.stroke();
  context.setLineDash([]);
}

/** The keyboard's crosshair over its pixel. */
export function drawCrosshair(frame: Frame, [px, py]: readonly [number, number]): void {
  const { context, view } = frame;
  onScreen(frame);
  const x = Math.round((px + 0.5) * view.scale + view.x) + 0.5;
  const y = Math.round((py + 0.5) * view.scale + view.y) + 0.5;
  for (const [width, color] of [
    [4, "rgb(8 10 12 / 0.65)"],
    [1.6, "#fff"],
  ] as const) {
    context.lineWidth = width;
    context.strokeStyle = color;
    context.beginPath();
    for (const [dx, dy] of [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
    ]) {
      context.moveTo(x + dx * 6, y + dy * 6);
      context.lineTo(x + dx * 18, y + dy * 18);
    }
    context.stroke();
  }
}

/** A stroke of the brush while it is drawn: as the mask that it will be, nearly. */
export function strokeLine(frame: Frame, points: readonly number[], radius: number): void {
  inPicture(frame);
  const { context } = frame;
  context.lineWidth = radius * 2;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(points[0], points[1]);
  if (points.length === 2) context.lineTo(points[0] + 0.01, points[1]);
  for (let index = 2; index < points.length; index += 2) context.lineTo(points[index], points[index + 1]);
  context.stroke();
}
