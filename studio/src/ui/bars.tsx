/** Top bar, tool bar and status bar of the core. */
import { brushSize, current, doc, model, models, notice, pending, pictures, pointerAt, tool, view, type ToolName } from "../state";
import { live } from "../api";
import { filming } from "../slots";
import { search } from "../tools/everything";
import { theme } from "../theme";
import { guest } from "../canvas/guest";
import { size, zoomTo } from "../canvas/view";
import { CommandButton } from "./controls";
import * as Icons from "./icons";

export function OpenButtons() {
  return (
    <>
      <CommandButton id="pictures.open" icon={Icons.Open} text="Open" class="" testid="open" />
      <span class="wide-only">
        <CommandButton id="pictures.folder" icon={Icons.Folder} />
      </span>
    </>
  );
}

export function History() {
  return (
    <span class="row" style={{ gap: "2px" }}>
      <CommandButton id={filming.value ? "video.undo" : "edit.undo"} icon={Icons.Undo} testid="undo" />
      <CommandButton id="edit.redo" icon={Icons.Redo} testid="redo" />
    </span>
  );
}

export function Name() {
  const picture = current.value;
  const info = picture?.info.value;
  return (
    <span class="row wide-only" style={{ minWidth: 0 }}>
      <span class="truncate">{picture?.name}</span>
      {info && (
        <span class="muted numbers">
          {info.width} × {info.height}
        </span>
      )}
    </span>
  );
}

export function ModelChoice() {
  const segmenters = models.value?.models.filter((one) => one.tasks.includes("segment")) ?? [];
  if (segmenters.length < 2 || filming.value) return null;
  return (
    <select
      class="field wide-only"
      style={{ width: "auto", maxWidth: "180px" }}
      aria-label="Model"
      title={segmenters.find((one) => one.name === model.value)?.description}
      value={model.value ?? ""}
      onChange={(event) => (model.value = event.currentTarget.value)}
      data-testid="model"
    >
      {segmenters.map((one) => (
        <option key={one.name} value={one.name}>
          {one.name}
        </option>
      ))}
    </select>
  );
}

export function ThemeButton() {
  return <CommandButton id="view.theme" icon={theme.value === "dark" ? Icons.Sun : Icons.Moon} testid="theme" />;
}

const TOOLS: [ToolName, typeof Icons.Select][] = [
  ["select", Icons.Select],
  ["point", Icons.PointTool],
  ["box", Icons.BoxTool],
  ["brush", Icons.Brush],
  ["eraser", Icons.Eraser],
];

export function Tools() {
  return (
    <>
      {!filming.value && (
        <>
          {TOOLS.map(([name, icon]) => (
            <CommandButton key={name} id={`tool.${name}`} icon={icon} pressed={tool.value === name} />
          ))}
          <hr />
          <CommandButton id="everything.find" icon={Icons.Everything} pressed={search.value !== null} testid="everything" />
          <hr />
        </>
      )}
      <CommandButton id="view.fit" icon={Icons.Fit} />
    </>
  );
}

export function BrushSize() {
  if (filming.value || (tool.value !== "brush" && tool.value !== "eraser")) return null;
  return (
    <label class="brush-size live">
      <span class="hidden-text">Size of the brush</span>
      <input
        type="range"
        min="2"
        max="200"
        value={Math.min(200, brushSize.value)}
        onInput={(event) => (brushSize.value = Number(event.currentTarget.value))}
        data-testid="brush-size"
      />
      <span class="numbers">{brushSize.value} px</span>
      <span class="muted wide-only">
        <kbd>[</kbd> <kbd>]</kbd>
      </span>
    </label>
  );
}

/** What the pointer does now, in one line. */
function advice(): string {
  if (guest.value) return "Click an object or drag a box; Alt-click takes away";
  if (!current.value) return "";
  if (search.value?.state === "done") return "Click keeps one mask, Keep all of them";
  const made = pending.value;
  if (tool.value === "brush" || tool.value === "eraser") return "Alt paints the other way";
  if (tool.value === "select") return "Double click opens an object";
  if (made?.base) return "Click adds what is there, Alt-click takes it away";
  if (made) return "Click adds a point, Alt-click a background point; Enter keeps";
  return tool.value === "box" ? "Drag a box" : "Click an object, or drag a box";
}

export function StatusLeft() {
  const status = live.status.value;
  const lost = status === "waiting" || (status === "connecting" && current.value !== null);
  return (
    <>
      {notice.value && <span data-testid="notice">{notice.value}</span>}
      {lost && (
        <span class="lost" data-testid="reconnecting">
          reconnecting …
        </span>
      )}
      {current.value?.status.value === "uploading" && <span>uploading …</span>}
    </>
  );
}

export function StatusRight() {
  const at = pointerAt.value;
  if (!size()) return null;
  const percent = Math.round(view.value.scale * (window.devicePixelRatio || 1) * 100);
  return (
    <>
      <span class="wide-only truncate">{advice()}</span>
      {at && (
        <span class="numbers wide-only place">
          {at[0]}, {at[1]}
        </span>
      )}
      {current.value && pictures.value.length > 1 && (
        <span class="numbers">
          {pictures.value.indexOf(current.value) + 1} / {pictures.value.length}
        </span>
      )}
      <button
        type="button"
        class="zoom numbers"
        title="100 % (1)"
        aria-label={`Zoom: ${percent} percent; press for 100`}
        onClick={() => zoomTo(1 / (window.devicePixelRatio || 1))}
        data-testid="zoom"
      >
        {percent} %
      </button>
      {current.value && <span class="hidden-text">{doc.value.items.length} objects</span>}
    </>
  );
}
