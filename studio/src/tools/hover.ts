/** The mask under the pointer, asked for over the live connection while the pointer moves. */
import { ApiError, httpEvents, live, pause, type Point } from "../api";
import { hover, timing } from "../canvas/scene";
import { colorOf } from "../masks/colors";
import { current, doc, fail, model, pending, tool } from "../state";
import { isForgotten, ready, renew } from "../pictures/upload";
import { addsToBase } from "./prompt";

/** Pixels from which on hovering asks for the best candidate alone. */
const LARGE = 4e6;

let wanted = 0;
let last: { picture: string; x: number; y: number } | null = null;

/** Asks for the mask at a pixel; `time` is the pointer event's. */
export async function hoverAt(pixel: readonly [number, number] | null, time: number, remove = false): Promise<void> {
  const picture = current.value;
  const made = pending.value;
  const pointing = tool.value === "point" || tool.value === "box";
  if (!pixel || !picture || tool.value !== "point" || (made && !addsToBase(made)) || !pointing) return leave();
  const [x, y] = pixel;
  if (last && last.picture === picture.key && last.x === x && last.y === y && hover.value) return;
  last = { picture: picture.key, x, y };
  const number = ++wanted;
  try {
    const info = await ready(picture);
    // Three masks of a large picture take too long for a moving pointer; a click asks for the others.
    const complete = info.width * info.height <= LARGE;
    const points: Point[] = [[x, y]];
    const ask = (id: string) => live.ask({ picture: id, model: model.value ?? undefined, points, labels: [1], best: !complete });
    let answer;
    try {
      answer = await ask(info.id);
    } catch (error) {
      if (!isForgotten(error)) throw error;
      answer = await ask((await renew(picture, info.id)).id);
    }
    // The newest answer that is there is shown, even while a newer one is on its way; but none after leaving.
    if (!answer || number < shown || last?.picture !== picture.key || current.value !== picture) return;
    if (pending.value !== made || tool.value !== "point") return;
    shown = number;
    const best = answer.masks[0];
    if (!best || !best.area) {
      hover.value = null;
      return;
    }
    timing.since = time;
    hover.value = {
      rle: best.rle,
      masks: answer.masks,
      at: [x, y],
      complete,
      asked: time,
      kind: made ? (remove ? "remove" : "add") : "new",
      color: made ? (remove ? "#ff5a52" : made.color) : colorOf(doc.value.next - 1),
    };
  } catch (error) {
    if (error instanceof ApiError && (error.status === 429 || error.status === 503)) {
      httpEvents.busy(1);
      await pause(1000);
      if (number === wanted) void hoverAt(pixel, performance.now(), remove);
      return;
    }
    // While the pointer moves a failure is told once, and not where the connection merely waits.
    if (number === wanted) fail(error);
  }
}
let shown = 0;

/** The pointer left: what is on its way is not shown any more. */
export function leave(): void {
  last = null;
  shown = ++wanted;
  hover.value = null;
}
