/** Settings: kept in this browser only. */
import { effect, signal, type Signal } from "@preact/signals";
import { brushSize, tint } from "../state";
import { chooseTheme, chosenTheme } from "../theme";
import { Choice, Slide } from "./controls";
import { Modal, opened } from "./modal";

const STORED = "anymask.settings";
const BRUSH = 32;
const TINT = tint.peek();

/** The diameter that the brush has when the page opens. */
export const brushDefault = signal(BRUSH);
const percent = signal(Math.round(TINT * 100));
const theme = signal<"system" | "dark" | "light">(chosenTheme() ?? "system");

/** Takes over what was set in an earlier visit, and keeps what is set from now on. */
export function restoreSettings(): void {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? "{}") as { brush?: unknown; tint?: unknown };
    if (typeof stored.brush === "number") brushDefault.value = brushSize.value = clamp(stored.brush, 2, 200);
    if (typeof stored.tint === "number") tint.value = clamp(stored.tint, 0, 1);
  } catch {
    // No storage, or something else in it: the defaults.
  }
  link(tint, percent, 100);
  // The top bar may have changed it since.
  effect(() => {
    if (opened.value === "settings") theme.value = chosenTheme() ?? "system";
  });
  effect(() => {
    const text = JSON.stringify({ brush: brushDefault.value, tint: tint.value });
    try {
      localStorage.setItem(STORED, text);
    } catch {
      // No storage: the settings last as long as the page.
    }
  });
}

/** Keeps two signals at the same value, one of them `factor` times the other. */
function link(exact: Signal<number>, rounded: Signal<number>, factor: number): void {
  effect(() => {
    rounded.value = Math.round(exact.value * factor);
  });
  effect(() => {
    if (Math.round(exact.peek() * factor) !== rounded.value) exact.value = rounded.value / factor;
  });
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

export function Settings() {
  return (
    <Modal name="settings" title="Settings">
      {() => (
        <div class="form">
          <div class="stack">
            <span class="muted">Theme</span>
            <Choice
              label="Theme"
              value={theme}
              options={[
                { value: "system", title: "As the system" },
                { value: "dark", title: "Dark" },
                { value: "light", title: "Light" },
              ]}
              testid="theme"
              onChange={(value) => chooseTheme(value === "system" ? null : value)}
            />
          </div>
          <Slide signal={percent} title="Colour of masks" min={0} max={100} unit=" %" testid="settings-tint" />
          <Brush />
          <div class="row">
            <span class="muted grow small">Kept in this browser.</span>
            <button type="button" class="button" onClick={reset}>
              Reset
            </button>
          </div>
        </div>
      )}
    </Modal>
  );
}

function Brush() {
  const size = brushDefault.value;
  return (
    <label class="slide">
      <span class="muted">Brush</span>
      <input
        type="range"
        min={2}
        max={200}
        value={size}
        data-testid="settings-brush"
        onInput={(event) => (brushDefault.value = brushSize.value = Number(event.currentTarget.value))}
      />
      <span class="numbers value">{size} px</span>
    </label>
  );
}

function reset(): void {
  brushDefault.value = brushSize.value = BRUSH;
  tint.value = TINT;
  theme.value = "system";
  chooseTheme(null);
}
