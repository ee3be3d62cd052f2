/** What the studio knows, as signals. Nothing here talks to the server or draws. */
import { batch, computed, signal, type Signal } from "@preact/signals";
import type { Models, PictureInfo } from "./api";
import { ApiError } from "./api/http";
import { EMPTY_DOC, type Doc, type Item } from "./doc";
import { History } from "./history";
import { filming } from "./slots";

export type ToolName = "select" | "point" | "box" | "brush" | "eraser";
export type PictureStatus = "waiting" | "uploading" | "ready" | "error";

/** A picture that is open. */
export interface Picture {
  /** Known only in this page, and stable; the server's id may change. */
  key: string;
  name: string;
  /** The file it came from; null for one that only the server has. */
  file: Blob | null;
  /** Gives the server's id, by uploading or by asking; also called again when the server forgot the picture. */
  obtain: () => Promise<PictureInfo>;
  info: Signal<PictureInfo | null>;
  status: Signal<PictureStatus>;
  error: Signal<string>;
  thumbnail: Signal<string>;
  doc: Signal<Doc>;
  selection: Signal<ReadonlySet<number>>;
  history: History;
  /** Kept in the browser's own store over a reload; false for a project's pictures, which the server keeps. */
  mirrored: boolean;
  /** Anything the part that opened it wants to keep with it (a project's name and revision, for instance). */
  tag: Record<string, unknown>;
}

/** A new picture; it is not yet in `pictures`. */
export function makePicture(given: {
  name: string;
  file?: Blob | null;
  obtain: () => Promise<PictureInfo>;
  key?: string;
  doc?: Doc;
  mirrored?: boolean;
  tag?: Record<string, unknown>;
}): Picture {
  const doc = signal(given.doc ?? EMPTY_DOC);
  return {
    key: given.key ?? `p${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`,
    name: given.name,
    file: given.file ?? null,
    obtain: given.obtain,
    info: signal(null),
    status: signal("waiting"),
    error: signal(""),
    thumbnail: signal(""),
    doc,
    selection: signal(new Set()),
    history: new History(doc),
    mirrored: given.mirrored ?? true,
    tag: given.tag ?? {},
  };
}

export const models = signal<Models | null>(null);
/** The model that answers prompts. */
export const model = signal<string | null>(null);

export const pictures = signal<readonly Picture[]>([]);
export const currentKey = signal<string | null>(null);
/** The picture that is shown; null where none is open, and while the video page has the canvas. */
export const current = computed(() => (filming.value ? null : (pictures.value.find((picture) => picture.key === currentKey.value) ?? null)));

export const doc = computed(() => current.value?.doc.value ?? EMPTY_DOC);
export const pending = computed(() => doc.value.pending);
export const selection = computed<ReadonlySet<number>>(() => current.value?.selection.value ?? new Set());
export const selectedItems = computed<Item[]>(() => doc.value.items.filter((item) => selection.value.has(item.id)));
/** The object under the pointer, in the picture or in the list. */
export const hoveredItem = signal<number | null>(null);

export const tool = signal<ToolName>("point");
/** The brush's diameter in pixels of the screen. */
export const brushSize = signal(32);
/** How strongly the masks lie over the picture, 0 to 1. */
export const tint = signal(0.9);

/** Where the picture lies on the canvas, in CSS pixels: screen = picture * scale + (x, y). */
export const view = signal({ scale: 1, x: 0, y: 0 });
/** The pixel of the picture under the pointer, or null. */
export const pointerAt = signal<readonly [number, number] | null>(null);

/** The live prompts' state, the wait for a busy server, what goes on. */
export const notice = signal("");
/** The last thing that happened, for the status line; read out by screen readers. */
export const said = signal("");
/** Where there is no mouse there are mostly no keys to hint at. */
export const touch = window.matchMedia("(hover: none)");
export const needsKey = signal(false);

export interface Toast {
  id: number;
  kind: "info" | "error";
  text: string;
  action?: { title: string; run: () => void };
}
export const toasts = signal<readonly Toast[]>([]);
let toastNumber = 0;

/** Shows a sentence for a while: errors longer. A sentence that is shown already is not shown twice. */
export function toast(text: string, kind: Toast["kind"] = "info", action?: Toast["action"]): void {
  if (toasts.value.some((shown) => shown.text === text)) return;
  const id = ++toastNumber;
  toasts.value = [...toasts.value.slice(-4), { id, kind, text, action }];
  setTimeout(() => dismiss(id), kind === "error" ? 12000 : 6000);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((shown) => shown.id !== id);
}

/** Shows what went wrong, in the server's sentence where it is one. */
export function fail(error: unknown): void {
  // A missing key is answered by the form that asks for it.
  if (error instanceof ApiError && error.status === 401) return;
  toast(error instanceof Error ? error.message : String(error), "error");
}

/** Says what happened in the status line. */
export function say(text: string): void {
  said.value = text;
}

/** Changes the current picture's document by one step of its history. */
export function change(title: string, make: (doc: Doc) => Doc, merge = ""): void {
  const picture = current.value;
  if (picture) picture.history.change(title, make(picture.doc.value), merge);
}

/** Selects objects of the current picture by their ids. */
export function select(ids: Iterable<number>): void {
  const picture = current.value;
  if (picture) picture.selection.value = new Set(ids);
}

/** Goes to a picture. */
export function show(key: string | null): void {
  batch(() => {
    currentKey.value = key;
    hoveredItem.value = null;
    pointerAt.value = null;
  });
}
