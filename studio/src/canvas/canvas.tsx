/** The canvas as an element: its size, its renderer, its listeners. */
import { useEffect, useRef } from "preact/hooks";
import { effect, untracked } from "@preact/signals";
import { current } from "../state";
import { ready } from "../pictures/upload";
import { prepare } from "../pictures/open";
import { addPoint } from "../tools/prompt";
import { tool } from "../state";
import { foundAt, keepOne, search } from "../tools/everything";
import { itemAt, pick } from "../tools/objects";
import { leave } from "../tools/hover";
import { guest } from "./guest";
import { listenToPointers } from "./pointer";
import { Renderer } from "./renderer";
import { brushAt, crosshair } from "./scene";
import { recall, resized, size } from "./view";

const space = { down: false, used: false };

/** What the space bar and Enter do at the keyboard's crosshair. */
export function actAtCrosshair(background: boolean): void {
  const at = crosshair.value;
  if (!at) return guest.value?.tap();
  const [x, y] = at;
  if (guest.value) guest.value.addPoint([x, y], background ? 0 : 1);
  else if (search.value) {
    const mask = foundAt(x, y);
    if (mask) keepOne(mask);
  } else if (tool.value === "select") pick(itemAt(x, y), background);
  else addPoint([x, y], background ? 0 : 1, performance.now());
}

export function Canvas() {
  const element = useRef<HTMLCanvasElement>(null);

  useEffect(() => {
    const canvas = element.current!;
    const renderer = new Renderer(canvas);
    const observer = new ResizeObserver(() => {
      const box = canvas.parentElement!.getBoundingClientRect();
      resized(box.width, box.height, window.devicePixelRatio || 1);
    });
    observer.observe(canvas.parentElement!);
    const stopPointers = listenToPointers(canvas, space);
    const stopGuest = effect(() => {
      if (!guest.value) return;
      brushAt.value = null;
      crosshair.value = null;
      untracked(recall);
    });
    // A picture that is chosen is uploaded; once its size is known the view is set.
    let before: string | undefined;
    let sized = "";
    const stopPicture = effect(() => {
      const picture = current.value;
      const info = picture?.info.value;
      if (picture?.key !== before) {
        before = picture?.key;
        sized = "";
        leave();
        brushAt.value = null;
        crosshair.value = null;
      }
      if (!picture) return;
      const size = info ? `${info.width} ${info.height}` : "";
      // A picture that is uploaded again stays where it is.
      if (size !== sized) recall();
      sized = size;
      ready(picture)
        .then(() => prepare(picture))
        .catch(() => {});
    });
    return () => {
      renderer.destroy();
      observer.disconnect();
      stopPointers();
      stopPicture();
      stopGuest();
    };
  }, []);

  useEffect(() => {
    const canvas = element.current!;
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== " " || event.ctrlKey || event.metaKey || event.altKey) return;
      const target = event.target as HTMLElement;
      if (target !== canvas && target !== document.body) return;
      event.preventDefault();
      if (event.type === "keydown") {
        if (!event.repeat) Object.assign(space, { down: true, used: false });
        canvas.style.cursor = "grab";
        return;
      }
      const tapped = space.down && !space.used;
      space.down = false;
      canvas.style.cursor = "";
      // Space held is for panning; tapped, it acts at the crosshair.
      if (tapped) actAtCrosshair(event.shiftKey);
    };
    const release = () => (space.down = false);
    window.addEventListener("keydown", onKey);
    window.addEventListener("keyup", onKey);
    window.addEventListener("blur", release);
    return () => {
      window.removeEventListener("keydown", onKey);
      window.removeEventListener("keyup", onKey);
      window.removeEventListener("blur", release);
    };
  }, []);

  // Whoever comes to a video by keys gets the crosshair at once; the arrows go from frame to frame without it.
  const onFocus = () => {
    const shown = guest.value && size();
    if (shown && document.documentElement.dataset.input === "keys") {
      crosshair.value = [Math.floor(shown.width / 2), Math.floor(shown.height / 2)];
    }
  };
  const onBlur = () => guest.value && (crosshair.value = null);

  const name = current.value?.name;
  return (
    <canvas
      ref={element}
      class="canvas"
      data-testid="canvas"
      tabIndex={0}
      role="application"
      onFocus={onFocus}
      onBlur={onBlur}
      aria-label={
        guest.value
          ? guest.value.label
          : name
            ? `Picture ${name}. Arrow keys move a crosshair, Shift makes larger steps, Space adds a point, Shift and Space a background point.`
            : "No picture is open."
      }
    />
  );
}
