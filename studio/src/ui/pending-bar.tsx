/** What floats below the picture while an object is made: candidates, name, keep, discard. */
import { useEffect, useRef } from "preact/hooks";
import { current, pending } from "../state";
import type { Mask } from "../api";
import { rasterise } from "../masks/region";
import { spansOf } from "../masks/rle";
import { parseColor } from "../masks/colors";
import { pendingMask } from "../masks/pending";
import { arrived, pixelsOf } from "../canvas/pictures";
import { choose, keep, namePending } from "../tools/prompt";
import { hint } from "../commands";
import { touch } from "../state";
import { CommandButton } from "./controls";
import { NameField } from "./combobox";
import { Check, Close } from "./icons";
import { naming } from "./names";

const SIZE = 44;

/** A candidate over its part of the picture, small. */
function Thumbnail({ mask, color }: { mask: Mask; color: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const pixels = current.value && arrived.value >= 0 ? pixelsOf(current.value) : null;
  useEffect(() => {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const element = canvas.current!;
    const side = Math.round(SIZE * ratio);
    element.width = element.height = side;
    const context = element.getContext("2d")!;
    const [x0, y0, x1, y1] = mask.box;
    // The same part for all candidates would be too small for the little ones: each shows its own surroundings.
    const extent = Math.max(x1 - x0 + 1, y1 - y0 + 1) * 1.25;
    const scale = Math.min(1, side / extent);
    const left = (x0 + x1 + 1) / 2 - side / scale / 2;
    const top = (y0 + y1 + 1) / 2 - side / scale / 2;
    if (pixels) {
      const level = pixels.levels[pixels.levels.length - 1];
      const s = level.scale;
      context.drawImage(level.image, left * s, top * s, (side / scale) * s, (side / scale) * s, 0, 0, side, side);
      context.fillStyle = "rgb(0 0 0 / 0.45)";
      context.fillRect(0, 0, side, side);
    }
    const region = rasterise(spansOf(mask.rle), ...mask.rle.size, scale);
    if (!region.width || !region.height) return;
    const [r, g, b] = parseColor(color);
    const image = new ImageData(region.width, region.height);
    const out = new Uint32Array(image.data.buffer);
    const value = ((200 << 24) | (b << 16) | (g << 8) | r) >>> 0;
    region.bits.forEach((bit, index) => bit && (out[index] = value));
    const part = document.createElement("canvas");
    part.width = region.width;
    part.height = region.height;
    part.getContext("2d")!.putImageData(image, 0, 0);
    context.drawImage(part, region.x - left * scale, region.y - top * scale);
  }, [mask, color, pixels]);
  return <canvas ref={canvas} style={{ width: `${SIZE}px`, height: `${SIZE}px` }} aria-hidden="true" />;
}

export function PendingBar() {
  const made = pending.value;
  if (!made) return null;
  const waiting = made.answered !== made.prompt && (made.prompt.points.length > 0 || made.prompt.box !== null);
  const ready = pendingMask(made) !== null;
  const asked = naming.value?.id === "pending" ? naming.value.time : 0;
  return (
    <div class="bar live" role="group" aria-label={made.edits === null ? "New object" : "Editing an object"} data-testid="pending-bar">
      {waiting && <span class="spinner late small" aria-hidden="true" />}
      {made.candidates.length > 1 && (
        <div class="row candidates" role="radiogroup" aria-label="Candidates">
          {made.candidates.map((mask, index) => (
            <button
              key={index}
              type="button"
              class="candidate"
              role="radio"
              aria-checked={index === made.chosen}
              aria-label={`Candidate ${index + 1}, score ${mask.score.toFixed(2)}, ${mask.area.toLocaleString("en")} pixels`}
              title={index === made.chosen ? undefined : hint("pending.next")}
              onClick={() => choose(index)}
              data-testid={`candidate-${index}`}
            >
              <Thumbnail mask={mask} color={made.color} />
              <span class="numbers">{mask.score.toFixed(2)}</span>
            </button>
          ))}
        </div>
      )}
      <NameField
        class="pending-name"
        value={made.name}
        label="Name of the object"
        placeholder={made.edits === null && !touch.matches ? "Name (N)" : "Name"}
        testid="pending-name"
        focus={asked}
        onCommit={namePending}
        onEnter={() => {
          keep();
          document.querySelector<HTMLElement>("canvas.canvas")?.focus();
        }}
      />
      <CommandButton id="pending.discard" icon={Close} text="Discard" class="" testid="discard" />
      <button type="button" class="button primary" disabled={!ready} title={hint("pending.keep")} onClick={keep} data-testid="keep">
        <Check />
        Keep
      </button>
    </div>
  );
}
