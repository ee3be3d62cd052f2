/** What mouse, pen and fingers do on the canvas. */
import { brushSize, current, hoveredItem, pending, pointerAt, tool, view } from "../state";
import type { Box } from "../api";
import { beginStroke, cancelStroke, endStroke, moveStroke } from "../tools/brush";
import { foundAt, keepOne, search } from "../tools/everything";
import { hoverAt, leave } from "../tools/hover";
import { itemAt, pick } from "../tools/objects";
import { guest } from "./guest";
import { addPoint, addsToBase, removePoint, reopen, setBox } from "../tools/prompt";
import { brushAt, crosshair, dragBox, foundHovered, stroke } from "./scene";
import { pan, pixelAt, size, toPicture, zoomBy } from "./view";

/** CSS pixels that the pointer may move in a click. */
const SLACK = 5;
/** Milliseconds that a finger stays to mean the background, for want of keys. */
const HOLD = 450;

type Gesture =
  | { kind: "pan"; x: number; y: number }
  | { kind: "press"; x: number; y: number; background: boolean; time: number; touch: boolean }
  | { kind: "box"; x: number; y: number; background: boolean }
  | { kind: "brush" }
  | { kind: "pinch"; distance: number; x: number; y: number }
  | null;

/** Listens on the canvas; gives the function that ends it. `spaceDown` says whether the space bar is held. */
export function listenToPointers(canvas: HTMLCanvasElement, space: { down: boolean; used: boolean }): () => void {
  const down = new Map<number, { x: number; y: number }>();
  let gesture: Gesture = null;

  const place = (event: PointerEvent | MouseEvent | WheelEvent): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const isBackground = (event: PointerEvent) => event.altKey || event.shiftKey || event.button === 2;

  const boxTo = (from: { x: number; y: number }, x: number, y: number): Box | null => {
    const info = size();
    if (!info) return null;
    const [ax, ay] = toPicture(from.x, from.y);
    const [bx, by] = toPicture(x, y);
    const clamp = (value: number, size: number) => Math.min(size - 1, Math.max(0, Math.floor(value)));
    const [x0, x1] = [clamp(Math.min(ax, bx), info.width), clamp(Math.max(ax, bx), info.width)];
    const [y0, y1] = [clamp(Math.min(ay, by), info.height), clamp(Math.max(ay, by), info.height)];
    return x1 > x0 && y1 > y0 ? [x0, y0, x1, y1] : null;
  };

  const cancel = () => {
    cancelStroke();
    dragBox.value = null;
    gesture = null;
  };

  const onDown = (event: PointerEvent) => {
    if (!current.value && !guest.value) return;
    canvas.focus({ preventScroll: true });
    crosshair.value = null;
    const [x, y] = place(event);
    down.set(event.pointerId, { x, y });
    canvas.setPointerCapture(event.pointerId);
    if (down.size === 2) {
      // The second finger turns what the first one began into a pinch.
      cancel();
      leave();
      const [a, b] = [...down.values()];
      gesture = { kind: "pinch", distance: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
      return;
    }
    if (down.size > 2) return;
    if (event.button === 1 || space.down) {
      space.used = true;
      event.preventDefault();
      gesture = { kind: "pan", x, y };
      return leave();
    }
    if (event.button !== 0 && event.button !== 2) return;
    const touch = event.pointerType === "touch";
    if (!guest.value && (tool.value === "brush" || tool.value === "eraser") && !search.value) {
      if (beginStroke(x, y, (tool.value === "eraser") !== isBackground(event))) gesture = { kind: "brush" };
      return;
    }
    gesture = { kind: "press", x, y, background: isBackground(event), time: event.timeStamp, touch };
  };

  const onMove = (event: PointerEvent) => {
    const [x, y] = place(event);
    const pixel = pixelAt(x, y);
    pointerAt.value = pixel;
    if (down.has(event.pointerId)) down.set(event.pointerId, { x, y });
    if (gesture?.kind === "pinch") return pinch();
    if (gesture?.kind === "pan") {
      pan(x - gesture.x, y - gesture.y);
      gesture = { kind: "pan", x, y };
      return;
    }
    if (gesture?.kind === "brush") {
      // All places between two frames, so that fast strokes stay round.
      const places = event.getCoalescedEvents?.() ?? [];
      for (const one of places.length ? places : [event]) moveStroke(...place(one));
      return;
    }
    if (gesture?.kind === "press" && Math.hypot(x - gesture.x, y - gesture.y) > (gesture.touch ? 2 * SLACK : SLACK)) {
      if (!guest.value && (search.value || tool.value === "select")) gesture = { kind: "pan", x, y };
      else {
        leave();
        gesture = { kind: "box", x: gesture.x, y: gesture.y, background: gesture.background };
      }
    }
    if (gesture?.kind === "box") {
      dragBox.value = boxTo(gesture, x, y);
      return;
    }
    if (!gesture) hovering(event, x, y, pixel);
  };

  const hovering = (event: PointerEvent, x: number, y: number, pixel: [number, number] | null) => {
    if (event.pointerType === "touch") return;
    if (guest.value) {
      canvas.style.cursor = space.down ? "grab" : !pixel ? "default" : pointUnder(x, y) >= 0 ? "pointer" : "crosshair";
      return;
    }
    const brushing = tool.value === "brush" || tool.value === "eraser";
    brushAt.value = brushing ? [x, y] : null;
    canvas.style.cursor = cursor(pixel, x, y);
    if (space.down) return leave();
    if (search.value) {
      leave();
      foundHovered.value = (pixel && foundAt(...pixel)?.rle) ?? null;
    } else if (tool.value === "select") {
      leave();
      hoveredItem.value = (pixel && itemAt(...pixel)?.id) ?? null;
    } else {
      hoveredItem.value = null;
      void hoverAt(pixel, event.timeStamp, event.altKey || event.shiftKey);
    }
  };

  const cursor = (pixel: [number, number] | null, x: number, y: number): string => {
    if (space.down) return "grab";
    if (!pixel) return "default";
    if (search.value) return foundAt(...pixel) ? "pointer" : "default";
    if (tool.value === "select") return itemAt(...pixel) ? "pointer" : "default";
    if (tool.value === "brush" || tool.value === "eraser") return brushSize.value < 6 ? "crosshair" : "none";
    return pointUnder(x, y) >= 0 ? "pointer" : "crosshair";
  };

  const pinch = () => {
    if (gesture?.kind !== "pinch" || down.size < 2) return;
    const [a, b] = [...down.values()];
    const distance = Math.hypot(a.x - b.x, a.y - b.y);
    const [x, y] = [(a.x + b.x) / 2, (a.y + b.y) / 2];
    pan(x - gesture.x, y - gesture.y);
    zoomBy(distance / Math.max(1, gesture.distance), x, y);
    gesture = { kind: "pinch", distance, x, y };
  };

  const onUp = (event: PointerEvent) => {
    const [x, y] = place(event);
    down.delete(event.pointerId);
    const ended = gesture;
    if (ended?.kind === "pinch") {
      // The finger that stays pans on; it never draws.
      const rest = [...down.values()][0];
      gesture = rest ? { kind: "pan", ...rest } : null;
      return;
    }
    if (down.size) return;
    gesture = null;
    if (ended?.kind === "brush") return endStroke();
    if (ended?.kind === "box") {
      const box = dragBox.value;
      dragBox.value = null;
      if (box && guest.value) guest.value.setBox([...box]);
      else if (box) setBox([...box], ended.background);
      return;
    }
    if (ended?.kind !== "press") return;
    const pixel = pixelAt(ended.x, ended.y);
    const held = ended.touch && event.timeStamp - ended.time > HOLD;
    if (guest.value) {
      const known = pointUnder(x, y);
      if (known >= 0) guest.value.removePoint(known);
      else if (pixel) guest.value.addPoint(pixel, ended.background || held ? 0 : 1);
      return;
    }
    if (search.value) {
      const mask = pixel && foundAt(...pixel);
      if (mask && search.value.state === "done") keepOne(mask);
      return;
    }
    if (tool.value === "select") return pick(pixel && itemAt(...pixel), event.shiftKey || event.ctrlKey || event.metaKey);
    const point = pointUnder(x, y);
    if (point >= 0) return removePoint(point);
    if (pixel && (tool.value === "point" || pending.value)) addPoint(pixel, ended.background || held ? 0 : 1, event.timeStamp);
  };

  const onCancel = (event: PointerEvent) => {
    down.delete(event.pointerId);
    cancel();
  };

  const onLeave = (event: PointerEvent) => {
    if (event.pointerType === "touch" && gesture) return;
    pointerAt.value = null;
    brushAt.value = null;
    hoveredItem.value = null;
    foundHovered.value = null;
    if (!stroke.value) leave();
  };

  const onWheel = (event: WheelEvent) => {
    event.preventDefault();
    const [x, y] = place(event);
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : event.deltaMode === WheelEvent.DOM_DELTA_PAGE ? 400 : 1;
    const dy = event.deltaY * lines;
    const dx = event.deltaX * lines;
    // A mouse wheel zooms. So does a pinch on a touch pad (ctrl); its two-finger sweep, in small and slanted steps, pans.
    const sweep = !event.ctrlKey && !event.metaKey && event.deltaMode === WheelEvent.DOM_DELTA_PIXEL && (dx !== 0 || Math.abs(dy) < 40);
    if (event.shiftKey && dx === 0) pan(-dy, 0);
    else if (sweep) pan(-dx, -dy);
    else zoomBy(Math.exp(-Math.max(-240, Math.min(240, dy)) * (event.ctrlKey && Math.abs(dy) < 40 ? 0.01 : 0.0022)), x, y);
  };

  const onDouble = (event: MouseEvent) => {
    if (tool.value !== "select" || search.value || guest.value) return;
    const pixel = pixelAt(...place(event));
    const item = pixel && itemAt(...pixel);
    if (item) {
      reopen(item);
      tool.value = "point";
    }
  };
  const noMenu = (event: Event) => event.preventDefault();

  canvas.addEventListener("pointerdown", onDown);
  canvas.addEventListener("pointermove", onMove);
  canvas.addEventListener("pointerup", onUp);
  canvas.addEventListener("pointercancel", onCancel);
  canvas.addEventListener("pointerleave", onLeave);
  canvas.addEventListener("wheel", onWheel, { passive: false });
  canvas.addEventListener("dblclick", onDouble);
  canvas.addEventListener("contextmenu", noMenu);
  return () => {
    canvas.removeEventListener("pointerdown", onDown);
    canvas.removeEventListener("pointermove", onMove);
    canvas.removeEventListener("pointerup", onUp);
    canvas.removeEventListener("pointercancel", onCancel);
    canvas.removeEventListener("pointerleave", onLeave);
    canvas.removeEventListener("wheel", onWheel);
    canvas.removeEventListener("dblclick", onDouble);
    canvas.removeEventListener("contextmenu", noMenu);
  };
}

/** The number of the prompt's point under a place of the canvas, or -1. */
function pointUnder(x: number, y: number): number {
  const made = pending.value;
  if (!guest.value && (!made || addsToBase(made))) return -1;
  const { scale, x: left, y: top } = view.value;
  const points = guest.value?.points() ?? made!.prompt.points;
  return points.findIndex(([px, py]) => Math.hypot((px + 0.5) * scale + left - x, (py + 0.5) * scale + top - y) < 7);
}
