/** The commands of the core: view, tools, the object that is being made, objects, pictures. */
import { batch } from "@preact/signals";
import { register, run } from "./commands";
import { brushSize, current, doc, pending, pictures, selectedItems, selection, say, tool, view, type ToolName } from "./state";
import { guest } from "./canvas/guest";
import { crosshair } from "./canvas/scene";
import { actAtCrosshair } from "./canvas/canvas";
import { fit, reveal, size, zoomBy, zoomTo } from "./canvas/view";
import { closeByHand, go, pickFiles } from "./pictures/open";
import { resizeBrush } from "./tools/brush";
import { cancelSearch, discardFound, findEverything, keepFound, search } from "./tools/everything";
import { hoverAt, leave } from "./tools/hover";
import { mergeSelected, moveSelected, removeSelected, setHidden, setLocked, step } from "./tools/objects";
import { choose, discard, keep, reopen } from "./tools/prompt";
import { toggleTheme } from "./theme";
import { focusName } from "./ui/names";
import { filming } from "./slots";

const open = () => current.value !== null;
const shown = () => size() !== null;
const some = () => selectedItems.value.length > 0 && !pending.value;

function toolCommand(name: ToolName, title: string, key: string) {
  return {
    id: `tool.${name}`,
    title,
    group: "Tools",
    keys: [key],
    enabled: () => !filming.value || name === "point" || name === "box",
    run: () => {
      leave();
      tool.value = name;
      say(`${title}.`);
    },
  };
}

/** Goes one step through the history; both directions. */
function travel(direction: "undo" | "redo"): void {
  const picture = current.value;
  if (!picture) return;
  const done = picture.history[direction]();
  if (!done) return;
  leave();
  const there = new Set(picture.doc.value.items.map((item) => item.id));
  picture.selection.value = new Set([...picture.selection.value].filter((id) => there.has(id)));
  say(`${direction === "undo" ? "Undone" : "Redone"}: ${done.toLowerCase()}.`);
}

/** Moves the crosshair; it begins in the middle of what is seen. */
function moveCrosshair(dx: number, dy: number, large: boolean): void {
  const info = size();
  if (!info) return;
  const step = Math.max(1, Math.round((large ? 40 : 6) / view.value.scale));
  const now = crosshair.value;
  const x = now ? now[0] + dx * step : Math.floor(info.width / 2);
  const y = now ? now[1] + dy * step : Math.floor(info.height / 2);
  const next = [Math.min(info.width - 1, Math.max(0, x)), Math.min(info.height - 1, Math.max(0, y))] as const;
  batch(() => {
    crosshair.value = next;
    reveal(next[0], next[1]);
  });
  say(`Column ${next[0]}, row ${next[1]}.`);
  void hoverAt(next, performance.now());
}

const onCanvas = () => (open() || (guest.value !== null && crosshair.value !== null)) && document.activeElement?.matches("canvas.canvas") === true;

export function installCommands(): void {
  register(
    toolCommand("select", "Select objects", "V"),
    toolCommand("point", "Point at objects", "P"),
    toolCommand("box", "Box around objects", "R"),
    toolCommand("brush", "Brush", "B"),
    toolCommand("eraser", "Eraser", "E"),
    { id: "brush.smaller", title: "Smaller brush", group: "Tools", keys: ["["], run: () => resizeBrush(brushSize.value > 8 ? 0.85 : 0.7) },
    { id: "brush.larger", title: "Larger brush", group: "Tools", keys: ["]"], run: () => resizeBrush(1.18) },

    { id: "edit.undo", title: "Undo", group: "Edit", keys: ["Mod+Z"], enabled: () => (current.value?.history.steps.value.undo ?? 0) > 0, run: () => travel("undo") },
    { id: "edit.redo", title: "Redo", group: "Edit", keys: ["Mod+Shift+Z", "Mod+Y"], enabled: () => (current.value?.history.steps.value.redo ?? 0) > 0, run: () => travel("redo") },

    { id: "pending.keep", title: "Keep the object", group: "Object in the making", keys: ["Enter"], enabled: () => !!pending.value, run: keep },
    { id: "pending.discard", title: "Discard it", group: "Object in the making", keys: ["Escape"], enabled: () => !!pending.value, run: discard },
    { id: "pending.next", title: "Next candidate", group: "Object in the making", keys: ["C", "Tab"], enabled: () => (pending.value?.candidates.length ?? 0) > 1, run: () => choose(pending.value!.chosen + 1) },
    { id: "pending.previous", title: "Previous candidate", group: "Object in the making", keys: ["Shift+C"], enabled: () => (pending.value?.candidates.length ?? 0) > 1, run: () => choose(pending.value!.chosen - 1) },

    { id: "everything.find", title: "Find everything", group: "Everything", keys: ["A"], enabled: () => open() && search.value?.state !== "running", run: () => findEverything() },
    { id: "everything.keep", title: "Keep what was found", group: "Everything", keys: ["Enter"], enabled: () => !filming.value && search.value?.state === "done", run: keepFound },
    { id: "everything.discard", title: "Cancel, discard what was found", group: "Everything", keys: ["Escape"], enabled: () => !filming.value && !!search.value, run: () => (search.value?.state === "running" ? cancelSearch() : discardFound()) },

    { id: "objects.edit", title: "Open the object for editing", group: "Objects", keys: ["Enter"], enabled: () => selectedItems.value.length === 1 && !pending.value, run: () => (reopen(), run("tool.point")) },
    { id: "objects.rename", title: "Rename", group: "Objects", keys: ["N", "F2"], enabled: () => some() || !!pending.value, run: focusName },
    { id: "objects.delete", title: "Delete", group: "Objects", keys: ["Delete", "Backspace"], enabled: some, run: removeSelected },
    { id: "objects.merge", title: "Merge the selected", group: "Objects", keys: ["M"], enabled: () => selectedItems.value.length > 1 && !pending.value, run: mergeSelected },
    { id: "objects.hide", title: "Hide or show", group: "Objects", keys: ["H"], enabled: some, run: () => setHidden(selection.value, !selectedItems.value[0].hidden) },
    { id: "objects.lock", title: "Lock or unlock", group: "Objects", keys: ["L"], enabled: some, run: () => setLocked(selection.value, !selectedItems.value[0].locked) },
    { id: "objects.up", title: "One step up", group: "Objects", keys: ["Alt+ArrowUp"], enabled: some, run: () => moveSelected(-1) },
    { id: "objects.down", title: "One step down", group: "Objects", keys: ["Alt+ArrowDown"], enabled: some, run: () => moveSelected(1) },
    { id: "objects.all", title: "Select all", group: "Objects", keys: ["Mod+A"], enabled: () => doc.value.items.length > 0 && !pending.value, run: () => current.value && (current.value.selection.value = new Set(doc.value.items.map((item) => item.id))) },
    { id: "objects.next", title: "Next object", group: "Objects", keys: ["J"], enabled: () => doc.value.items.length > 0, run: () => step(1) },
    { id: "objects.previous", title: "Previous object", group: "Objects", keys: ["K"], enabled: () => doc.value.items.length > 0, run: () => step(-1) },
    { id: "objects.none", title: "Select nothing", group: "Objects", keys: ["Escape"], enabled: () => selection.value.size > 0, run: () => current.value && (current.value.selection.value = new Set()) },

    { id: "view.fit", title: "Whole picture", group: "View", keys: ["0", "F"], enabled: shown, run: fit },
    { id: "view.actual", title: "100 %", group: "View", keys: ["1"], enabled: shown, run: () => zoomTo(1 / (window.devicePixelRatio || 1)) },
    { id: "view.in", title: "Zoom in", group: "View", keys: ["+", "=", "Mod++", "Mod+="], enabled: shown, run: () => zoomBy(1.4) },
    { id: "view.out", title: "Zoom out", group: "View", keys: ["-", "Mod+-"], enabled: shown, run: () => zoomBy(1 / 1.4) },
    { id: "view.theme", title: "Dark or light", group: "View", run: toggleTheme },

    { id: "crosshair.act", title: "Add a point at the crosshair (picture focused)", group: "Keyboard pointing", keys: ["Space"], enabled: () => false, run: () => actAtCrosshair(false) },
    { id: "crosshair.background", title: "Add a background point there", group: "Keyboard pointing", keys: ["Shift+Space"], enabled: () => false, run: () => actAtCrosshair(true) },
    ...(
      [
        ["left", "ArrowLeft", -1, 0],
        ["right", "ArrowRight", 1, 0],
        ["up", "ArrowUp", 0, -1],
        ["down", "ArrowDown", 0, 1],
      ] as const
    ).flatMap(([word, key, dx, dy]) => [
      { id: `crosshair.${word}`, title: `Crosshair ${word}`, group: "Keyboard pointing", keys: [key], enabled: onCanvas, run: () => moveCrosshair(dx, dy, false) },
      { id: `crosshair.${word}.far`, title: `Crosshair ${word}, a large step`, group: "Keyboard pointing", keys: [`Shift+${key}`], enabled: onCanvas, hidden: true, run: () => moveCrosshair(dx, dy, true) },
    ]),

    { id: "pictures.open", title: "Open pictures", group: "Pictures", keys: ["Mod+O"], run: () => pickFiles() },
    { id: "pictures.folder", title: "Open a folder", group: "Pictures", keys: ["Mod+Shift+O"], run: () => pickFiles(true) },
    { id: "pictures.next", title: "Next picture", group: "Pictures", keys: ["PageDown", "."], enabled: () => !filming.value && pictures.value.length > 1, run: () => go(1) },
    { id: "pictures.previous", title: "Previous picture", group: "Pictures", keys: ["PageUp", ","], enabled: () => !filming.value && pictures.value.length > 1, run: () => go(-1) },
    { id: "pictures.close", title: "Close the picture", group: "Pictures", enabled: open, run: () => current.value && closeByHand(current.value.key) },
  );
}
