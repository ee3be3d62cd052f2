/** Adding pictures to a project: three at a time, patient with a busy or absent server. */
import { signal } from "@preact/signals";
import { api, ApiError, isAbort, pause, type ProjectItem } from "../../api";
import { mayBePicture } from "../../pictures/open";
import { say, toast } from "../../state";
import { project } from "./store";

export interface Adding {
  project: string;
  done: number;
  total: number;
  /** The server cannot be reached or is busy; it goes on by itself. */
  waiting: boolean;
  failed: string[];
}

export const adding = signal<Adding | null>(null);

const AT_ONCE = 3;
let control: AbortController | null = null;
let queue: { name: string; file: Blob }[] = [];

/** Adds files; others that are added meanwhile join the queue. */
export function add(files: readonly File[]): void {
  const good = files.filter(mayBePicture);
  if (good.length < files.length) toast(`${files.length - good.length} of ${files.length} files are no pictures and were left out.`);
  addBlobs(good.map((file) => ({ name: file.name || "picture", file })));
}

export function addBlobs(parts: readonly { name: string; file: Blob }[]): void {
  const of = project.value?.name;
  if (!of || !parts.length) return;
  queue.push(...parts);
  if (adding.value && adding.value.project === of) {
    adding.value = { ...adding.value, total: adding.value.total + parts.length };
    return;
  }
  void run(of, parts.length);
}

export function cancelAdding(): void {
  queue = [];
  control?.abort();
}

async function run(of: string, total: number): Promise<void> {
  control = new AbortController();
  const { signal: stop } = control;
  adding.value = { project: of, done: 0, total, waiting: false, failed: [] };
  const worker = async () => {
    for (let part = queue.shift(); part && !stop.aborted; part = queue.shift()) {
      try {
        arrived(of, await patient(of, part.name, part.file, stop));
        update((now) => ({ done: now.done + 1 }));
      } catch (error) {
        if (isAbort(error)) return;
        update((now) => ({ done: now.done + 1, failed: [...now.failed, `${part!.name}: ${(error as Error).message}`] }));
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const last = adding.value;
  adding.value = null;
  flushArrived();
  const added = last.done - last.failed.length;
  say(`${stop.aborted ? "Stopped; added" : "Added"} ${added} of ${last.total} pictures.`);
  if (last.failed.length) {
    const more = last.failed.length > 3 ? ` And ${last.failed.length - 3} more.` : "";
    toast(`${last.failed.length} pictures were not added. ${last.failed.slice(0, 3).join(" ")}${more}`, "error");
  }
}

/** Uploads one picture, however often the server has to be asked. */
async function patient(of: string, name: string, file: Blob, stop: AbortSignal): Promise<ProjectItem> {
  for (let attempt = 0; ; attempt++) {
    try {
      const item = await api.projects.addItem(of, name, file, stop);
      if (adding.value?.waiting) update(() => ({ waiting: false }));
      return item;
    } catch (error) {
      const passes = error instanceof ApiError && [0, 408, 429, 500, 502, 503, 504].includes(error.status);
      if (!passes || (attempt > 4 && error.status === 500)) throw error;
      update(() => ({ waiting: true }));
      await pause(Math.min(15000, 1000 * 2 ** attempt), stop);
    }
  }
}

function update(make: (now: Adding) => Partial<Adding>): void {
  if (adding.value) adding.value = { ...adding.value, ...make(adding.value) };
}

// The list is drawn anew a few times a second at most, not with every one of thousands.
let fresh = new Map<string, ProjectItem>();
let timer = 0;

function arrived(of: string, item: ProjectItem): void {
  if (project.value?.name !== of) return;
  fresh.set(item.name, item);
  timer ||= window.setTimeout(flushArrived, 250);
}

function flushArrived(): void {
  clearTimeout(timer);
  timer = 0;
  const now = project.value;
  if (!now || !fresh.size) return;
  const others = now.items.filter((item) => !fresh.has(item.name));
  const all = [...others, ...fresh.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  fresh = new Map();
  project.value = { ...now, items: all };
}
