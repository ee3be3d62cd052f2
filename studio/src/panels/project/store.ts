/** The open project: its items, the one that is worked on, and what follows from both. */
import { batch, computed, effect, signal, untracked } from "@preact/signals";
import { api, type ItemStatus, type Project, type ProjectItem, type ProjectItemFull } from "../../api";
import { closePicture } from "../../pictures/open";
import { ready } from "../../pictures/upload";
import { current, fail, makePicture, model, pending, pictures, say, show, toast, type Picture } from "../../state";
import { keep } from "../../tools/prompt";
import { knownNames } from "../../ui/names";
import { addDraft, Draft, draftEvents, draftOf, drafts } from "./draft";
import { docOf, isUnconfirmed, recordsOf } from "./records";
import { TAB } from "./queue";

/** An item that is on the canvas. */
export interface OpenItem {
  project: string;
  name: string;
  picture: Picture;
  draft: Draft;
}

export type Filter = "all" | ItemStatus;
export const STATUSES: ItemStatus[] = ["new", "started", "done", "reviewed"];

export const project = signal<Project | null>(null);
export const opening = signal("");
export const openItem = signal<OpenItem | null>(null);
export const filter = signal<Filter>("all");

export const items = computed<readonly ProjectItem[]>(() => project.value?.items ?? []);
export const counts = computed(() => {
  const of: Record<Filter, number> = { all: items.value.length, new: 0, started: 0, done: 0, reviewed: 0 };
  for (const item of items.value) of[item.status]++;
  return of;
});
export const shownItems = computed(() => (filter.value === "all" ? items.value : items.value.filter((item) => item.status === filter.value)));
export const status = computed<ItemStatus | null>(() => {
  const open = openItem.value;
  return open ? (items.value.find((item) => item.name === open.name)?.status ?? open.draft.content.status) : null;
});
export const unconfirmed = computed(() => openItem.value?.picture.doc.value.items.filter(isUnconfirmed).length ?? 0);
/** Drafts of other items that are not on the server yet. */
export const elsewhere = computed(() => drafts.value.filter((one) => one !== openItem.value?.draft && one.state.value !== "saved"));

/** Called when an item was opened; the semi-automatic way of working begins here. */
export const opened: ((item: OpenItem, full: ProjectItemFull) => void)[] = [];

const recent = new Map<string, Picture>();
const KEPT = 8;
let known: readonly unknown[] | null = null;
let wanted = 0;

/** Opens a project. Throws ApiError. */
export async function openProject(name: string): Promise<void> {
  if (project.value?.name === name) return;
  const found = await api.projects.get(name);
  leave();
  batch(() => {
    project.value = found;
    knownNames.value = found.labels;
    filter.value = "all";
  });
}

/** Asks the server again what the project has. */
export async function refresh(): Promise<void> {
  const name = project.value?.name;
  if (!name) return;
  const found = await api.projects.get(name);
  if (project.value?.name === name) project.value = found;
}

export function closeProject(): void {
  leave();
  project.value = null;
  recent.clear();
}

/** Brings an item to the canvas. What was open is saved on its way out. */
export async function open(name: string): Promise<void> {
  const of = project.value?.name;
  if (!of || openItem.value?.name === name) return;
  const mine = ++wanted;
  opening.value = name;
  try {
    const full = await api.projects.item(of, name);
    if (mine !== wanted || project.value?.name !== of) return;
    const item = batch(() => {
      // First, since what is left may change once more: its draft must not be taken for a saved one that nobody needs.
      leave();
      const waiting = draftOf(of, name);
      // Ours is newer than the answer where it is not saved yet, or was saved while the answer was on its way.
      const unsaved = waiting && (waiting.dirty || waiting.revision > full.revision) ? waiting : null;
      const draft = unsaved ?? addDraft(new Draft(of, name, full.revision, { status: full.status, objects: full.objects }));
      const picture = pictureOf(of, full, draft);
      recent.delete(name);
      recent.set(name, picture);
      if (recent.size > KEPT) recent.delete(recent.keys().next().value!);
      known = picture.doc.value.items;
      openItem.value = { project: of, name, picture, draft };
      pictures.value = [...pictures.value, picture];
      show(picture.key);
      return openItem.value;
    });
    const { content } = item.draft;
    patch(name, { status: content.status, objects: content.objects.length, revision: item.draft.revision });
    say(`Opened ${name}, ${STATUS_WORDS[content.status]}.`);
    if (full.error) toast(full.error, "error");
    for (const told of opened) told(item, full);
    void lookAhead(item);
  } finally {
    if (mine === wanted) opening.value = "";
  }
}

export const STATUS_WORDS: Record<ItemStatus, string> = { new: "not begun", started: "started", done: "done", reviewed: "reviewed" };

/** The picture with its history as it was left, where nothing happened to it since. */
function pictureOf(of: string, full: ProjectItemFull, draft: Draft): Picture {
  const before = recent.get(full.name);
  if (before && before.tag.project === of && before.tag.revision === draft.revision) return before;
  return makePicture({
    name: full.name,
    mirrored: false,
    doc: docOf(draft.content.objects),
    tag: { project: of, item: full.name, revision: draft.revision },
    obtain: async () => api.pictures.get((await api.projects.item(of, full.name)).picture),
  });
}

/** Takes the open item off the canvas. */
export function leave(): void {
  const item = openItem.value;
  if (!item) return;
  if (pending.value && current.value === item.picture) keep();
  // Keeping may just have made an object; the effect that saves it comes too late here.
  saveChanges(item);
  item.draft.flush();
  const names = new Set([...knownNames.value, ...item.draft.content.objects.map((one) => one.name).filter(Boolean)]);
  batch(() => {
    knownNames.value = [...names];
    openItem.value = null;
    closePicture(item.picture.key);
    // Closing gave its thumbnail's address back.
    item.picture.thumbnail.value = "";
  });
}

/** Fetches what the next item needs while the person looks at this one. */
async function lookAhead(item: OpenItem): Promise<void> {
  try {
    await ready(item.picture);
    const next = neighbour(1);
    if (!next || openItem.value !== item) return;
    const full = await api.projects.item(item.project, next);
    if (openItem.value === item && model.value) await api.pictures.encode(full.picture, model.value);
  } catch {
    // The item says what is wrong when it is opened.
  }
}

/** The name of the item `step` further in the list as it is filtered; null at its ends. */
export function neighbour(step: number, wantedOne: (item: ProjectItem) => boolean = () => true): string | null {
  const all = items.value;
  const from = all.findIndex((item) => item.name === openItem.value?.name);
  const fits = (item: ProjectItem) => wantedOne(item) && (filter.value === "all" || item.status === filter.value);
  for (let at = from < 0 && step < 0 ? all.length - 1 : from + step; at >= 0 && at < all.length; at += step) if (fits(all[at])) return all[at].name;
  return null;
}

export const isUndone = (item: ProjectItem) => item.status === "new" || item.status === "started";

/** The next item that is not done, after this one or from the beginning. */
export function nextUndone(): string | null {
  const all = items.value;
  const from = all.findIndex((item) => item.name === openItem.value?.name);
  const order = [...all.slice(from + 1), ...all.slice(0, Math.max(0, from))];
  return order.find(isUndone)?.name ?? null;
}

export function go(name: string | null, otherwise: string): void {
  if (name) open(name).catch(fail);
  else say(otherwise);
}

/** Changes the list's row of an item. */
export function patch(name: string, values: Partial<ProjectItem>): void {
  const now = project.value;
  if (!now) return;
  project.value = { ...now, items: now.items.map((item) => (item.name === name ? { ...item, ...values } : item)) };
}

/** Gives the open item a status. */
export function setStatus(next: ItemStatus): void {
  const item = openItem.value;
  if (!item || status.value === next) return;
  if (pending.value && current.value === item.picture) keep();
  saveChanges(item);
  item.draft.change({ status: next, objects: recordsOf(item.picture.doc.value.items) });
  item.draft.flush();
  patch(item.name, { status: next });
  say(`${item.name}: ${STATUS_WORDS[next]}.`);
}

/** Takes an item out of the project; the server keeps its files in a folder of their own. */
export async function remove(name: string): Promise<void> {
  const of = project.value?.name;
  if (!of) return;
  await api.projects.removeItem(of, name);
  if (openItem.value?.name === name) leave();
  project.value = project.value && { ...project.value, items: project.value.items.filter((item) => item.name !== name) };
  toast(`Removed ${name}. Its files are in the project's folder .removed on the server.`);
}

/** Hands the item's objects over to be saved, if they are others than before. */
function saveChanges(item: OpenItem): void {
  const now = item.picture.doc.value.items;
  if (now === known) return;
  known = now;
  const before = item.draft.content.status;
  const next: ItemStatus = before === "new" ? "started" : before;
  item.draft.change({ status: next, objects: recordsOf(now) });
  patch(item.name, { status: next, objects: now.length });
}

const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("anymask-projects");

/** Starts to save what changes, and to follow what other windows save. */
export function watchItems(): void {
  effect(() => {
    const item = openItem.value;
    if (!item) return;
    item.picture.doc.value;
    untracked(() => saveChanges(item));
  });
  // A picture of the project that was closed by hand is left, not shown again by itself.
  effect(() => {
    const item = openItem.value;
    if (!item || pictures.value.includes(item.picture)) return;
    untracked(() => item.draft.flush());
    openItem.value = null;
  });
  draftEvents.saved = (draft) => {
    const picture = recent.get(draft.name);
    if (picture && picture.tag.project === draft.project) picture.tag.revision = draft.revision;
    if (project.value?.name === draft.project) patch(draft.name, { revision: draft.revision });
    const { project: of, name, revision, content } = draft;
    channel?.postMessage({ tab: TAB, project: of, name, revision, status: content.status, objects: content.objects.length });
  };
  draftEvents.replaced = (draft, title) => {
    const item = openItem.value;
    if (project.value?.name === draft.project) patch(draft.name, { status: draft.content.status, objects: draft.content.objects.length });
    if (item?.draft !== draft) return void recent.delete(draft.name);
    const made = docOf(draft.content.objects);
    known = made.items;
    item.picture.history.change(title, { ...made, pending: item.picture.doc.value.pending });
    item.picture.tag.revision = draft.revision;
  };
  channel?.addEventListener("message", (event) => {
    const told = event.data as { tab: string; project: string; name: string; revision: number; status: ItemStatus; objects: number };
    if (told.tab === TAB || told.project !== project.value?.name) return;
    const draft = draftOf(told.project, told.name);
    if (draft?.dirty) return;
    patch(told.name, { status: told.status, objects: told.objects, revision: told.revision });
    if (openItem.value?.draft === draft && draft && draft.revision < told.revision) void follow(draft);
  });
}

async function follow(draft: Draft): Promise<void> {
  try {
    const full = await api.projects.item(draft.project, draft.name);
    if (draft.dirty || full.revision <= draft.revision) return;
    draft.follow(full.revision, { status: full.status, objects: full.objects });
    say(`${draft.name} was changed in another window; this is the new version.`);
  } catch {
    // Saving over it is refused by the server, and then the person chooses.
  }
}
