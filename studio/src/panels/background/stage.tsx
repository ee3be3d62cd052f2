/** The preview over the canvas: the result on a checkerboard, and the picture as it was on the left of a slider. */
import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { active, after, before, problem, working, type Shown } from "./preview";
import { missing } from "./state";

/** How far the slider stands from the left, 0 to 100; what it was before lies left of it. */
export const split = signal(50);
const room = signal({ width: 0, height: 0 });
const MARGIN = 24;

export function Stage() {
  if (!active.value) return null;
  // Objects are chosen on the canvas, which therefore stays free until some are.
  if (missing.value) return <div class="bg-note">{missing.value}</div>;
  return <OpenStage />;
}

function OpenStage() {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      room.value = { width, height };
    });
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, []);
  const result = after.value;
  const original = before.value;
  const shown = result ?? original;
  // The two can only be compared where they show the same frame: cropping, padding and shadows may change it.
  const comparable = result && original && Math.abs(result.width / result.height - original.width / original.height) < 0.01;
  return (
    <div ref={element} class="bg-stage live" data-testid="bg-stage" aria-busy={working.value}>
      {shown && (
        <div class="bg-frame" style={fitted(shown)}>
          <img src={shown.url} alt={result ? "The cut-out" : "The picture before it is cut out"} draggable={false} data-testid="bg-after" />
          {comparable && <Compare original={original} />}
        </div>
      )}
      {working.value && (
        <div class="bg-note" role="status">
          <span class="spin" /> Cutting out…
        </div>
      )}
      {!working.value && problem.value && (
        <div class="bg-note" role="alert">
          {problem.value}
        </div>
      )}
    </div>
  );
}

function Compare({ original }: { original: Shown }) {
  const at = split.value;
  return (
    <>
      <img class="bg-before" src={original.url} alt="" draggable={false} style={{ clipPath: `inset(0 ${100 - at}% 0 0)` }} />
      {at > 8 && <span class="bg-tag left">Before</span>}
      {at < 92 && <span class="bg-tag right">After</span>}
      <div class="bg-line" style={{ left: `${at}%` }} aria-hidden="true">
        <svg class="icon" viewBox="0 0 20 20">
          <path d="m7.5 6.500-3.5 3.500 3.5 3.500M12.5 6.500l3.5 3.500-3.5 3.500" />
        </svg>
      </div>
      <input
        class="bg-slider"
        type="range"
        min="0"
        max="100"
        step="1"
        value={at}
        aria-label="Before and after"
        aria-valuetext={`${at} percent shows the picture before`}
        data-testid="bg-slider"
        onInput={(event) => (split.value = Number(event.currentTarget.value))}
      />
    </>
  );
}

function fitted({ width, height }: Shown) {
  const space = room.value;
  const scale = Math.min(4, Math.max(0.02, Math.min((space.width - 2 * MARGIN) / width, (space.height - 2 * MARGIN) / height)));
  return { width: `${Math.round(width * scale)}px`, height: `${Math.round(height * scale)}px` };
}
