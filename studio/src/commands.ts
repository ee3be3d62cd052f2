/** Every action of the studio is a command: the shortcuts and the cheat sheet are made of this list. */
import { signal } from "@preact/signals";
import { fail } from "./state";

export interface Command {
  /** "group.verb", unique. */
  id: string;
  title: string;
  /** Heading of the cheat sheet. */
  group: string;
  /** Such as "V", "Mod+Z", "Shift+Tab", "ArrowLeft", "[". Mod is Ctrl, or Cmd on a Mac. The first one is shown. */
  keys?: string[];
  /** Where it says no, the key goes on to the next command of the same key, and at last to the browser. */
  enabled?: () => boolean;
  run: () => unknown;
  /** Also while a text field has the focus. */
  inFields?: boolean;
  /** Not shown in the cheat sheet. */
  hidden?: boolean;
}

const registry = new Map<string, Command>();
/** Grows with every registration, so that what shows the list is drawn again. */
export const registered = signal(0);

/** Adds commands; a command of the same id is replaced. Gives the function that takes them out again. */
export function register(...commands: Command[]): () => void {
  for (const command of commands) registry.set(command.id, command);
  registered.value++;
  return () => {
    for (const command of commands) if (registry.get(command.id) === command) registry.delete(command.id);
    registered.value++;
  };
}

/** All commands in the order of their registration. */
export function commands(): Command[] {
  return [...registry.values()];
}

/** Runs a command by its id if it is enabled; failures become toasts. */
export function run(id: string): void {
  const command = registry.get(id);
  if (command && (command.enabled?.() ?? true)) perform(command);
}

export function isEnabled(id: string): boolean {
  const command = registry.get(id);
  return !!command && (command.enabled?.() ?? true);
}

const MAC = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.platform);
const SHOWN: Record<string, string> = {
  Mod: MAC ? "⌘" : "Ctrl",
  Shift: MAC ? "⇧" : "Shift",
  Alt: MAC ? "⌥" : "Alt",
  ArrowUp: "↑",
  ArrowDown: "↓",
  ArrowLeft: "←",
  ArrowRight: "→",
  Escape: "Esc",
  Delete: "Del",
  PageUp: "PgUp",
  PageDown: "PgDn",
};

/** A key as people write it: "Ctrl+Z". */
export function keyText(key: string): string {
  return parts(key)
    .map((part) => SHOWN[part] ?? part)
    .join("+");
}

/** The first key of a command as people write it, or "". */
export function keysOf(id: string): string {
  const key = registry.get(id)?.keys?.[0];
  return key ? keyText(key) : "";
}

/** The title of a command with its key, for tooltips. */
export function hint(id: string): string {
  const command = registry.get(id);
  const keys = keysOf(id);
  return command ? (keys ? `${command.title} (${keys})` : command.title) : "";
}

/** Listens to the keyboard. */
export function listen(): () => void {
  const onKey = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.isComposing) return;
    const typing = inField(event.target);
    // A dialog keeps its keys to itself; a focused control keeps the ones that work it.
    if (event.target instanceof Element && event.target.closest("dialog[open]")) return;
    if (!typing && usedByControl(event)) return;
    for (const command of registry.values()) {
      if (typing && !command.inFields) continue;
      if (!command.keys?.some((key) => matches(key, event))) continue;
      if (!(command.enabled?.() ?? true)) continue;
      event.preventDefault();
      perform(command);
      return;
    }
  };
  // Whether keys or the pointer were used last, for the focus rings.
  const root = document.documentElement;
  const byKeys = (event: KeyboardEvent) => {
    if (event.key === "Tab" || event.key.startsWith("Arrow")) root.dataset.input = "keys";
  };
  const byPointer = () => {
    if (root.dataset.input !== "pointer") root.dataset.input = "pointer";
  };
  window.addEventListener("keydown", byKeys, true);
  window.addEventListener("pointermove", byPointer, { capture: true, passive: true });
  window.addEventListener("pointerdown", byPointer, { capture: true, passive: true });
  window.addEventListener("keydown", onKey);
  return () => {
    window.removeEventListener("keydown", byKeys, true);
    window.removeEventListener("pointermove", byPointer, true);
    window.removeEventListener("pointerdown", byPointer, true);
    window.removeEventListener("keydown", onKey);
  };
}

function perform(command: Command): void {
  try {
    const result = command.run();
    if (result instanceof Promise) result.catch(fail);
  } catch (error) {
    fail(error);
  }
}

function parts(key: string): string[] {
  // "Mod++" is Mod and the plus key.
  return key.endsWith("++") ? [...key.slice(0, -2).split("+"), "+"] : key === "+" ? ["+"] : key.split("+");
}

function matches(key: string, event: KeyboardEvent): boolean {
  const wanted = parts(key);
  const last = wanted[wanted.length - 1];
  const mod = MAC ? event.metaKey : event.ctrlKey;
  if (mod !== wanted.includes("Mod") || event.altKey !== wanted.includes("Alt")) return false;
  const pressed = event.key === " " ? "Space" : event.key;
  // Signs such as "?" and "+" need Shift on some keyboards and not on others; letters and named keys are told apart by it.
  const named = last.length > 1 || /[a-z]/i.test(last);
  if (named && event.shiftKey !== wanted.includes("Shift")) return false;
  return pressed.toLowerCase() === last.toLowerCase();
}

function inField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "range", "button", "color", "file"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

/** True for keys that work the focused control: Space and Enter on buttons, arrows on sliders and lists. */
function usedByControl(event: KeyboardEvent): boolean {
  const target = event.target;
  if (!(target instanceof HTMLElement) || event.ctrlKey || event.metaKey) return false;
  if (event.key === "Tab") return !target.matches("canvas, body");
  if (event.key === " " || event.key === "Enter") return target.matches("button, a, summary, input, [role=tab], [role=row]");
  if (event.key.startsWith("Arrow")) return target.matches("input, [role=tab], [role=slider], [role=listbox], [role=option]");
  return false;
}
