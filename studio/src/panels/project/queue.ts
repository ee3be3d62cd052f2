/** What is not yet on the server, in the browser's own store: a reload, a crash or a dead server lose nothing.
 *
 * Every window writes its entries under its own name, so that two windows with the same item keep both versions. What a
 * closed window left behind is taken over by the next one.
 */
import type { Content } from "./records";

export interface Entry {
  key: string;
  tab: string;
  project: string;
  name: string;
  /** What the content is based on. */
  revision: number;
  content: Content;
  /** What was sent and not answered: the server may have it. */
  sent: Content[];
}

const NAME = "anymask-unsaved";
const STORE = "entries";
const ALIVE = "anymask-window-";
export const TAB = Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(36)).join("");

// A lock that lasts as long as the window tells the others that it is there.
void navigator.locks?.request(ALIVE + TAB, () => new Promise(() => {}));

let opened: Promise<IDBDatabase> | null = null;

function database(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function work<T>(mode: IDBTransactionMode, make: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const transaction = (await database()).transaction(STORE, mode);
  const request = make(transaction.objectStore(STORE));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

const keyOf = (project: string, name: string) => `${TAB}\n${project}\n${name}`;

/** Keeps an entry; false where the browser has no room or no store. */
export async function put(entry: Omit<Entry, "key" | "tab">): Promise<boolean> {
  try {
    await work("readwrite", (store) => store.put({ ...entry, tab: TAB, key: keyOf(entry.project, entry.name) }));
    return true;
  } catch {
    return false;
  }
}

export async function drop(project: string, name: string): Promise<void> {
  await work("readwrite", (store) => store.delete(keyOf(project, name))).catch(() => {});
}

/** Takes over what windows that are closed left; several of one item are given apart. */
export async function adopt(): Promise<Entry[]> {
  const take = async (): Promise<Entry[]> => {
    const all = await work<Entry[]>("readonly", (store) => store.getAll() as IDBRequest<Entry[]>);
    const held = (await navigator.locks?.query())?.held ?? [];
    const alive = new Set(held.map((lock) => lock.name));
    return all.filter((entry) => entry.tab !== TAB && !alive.has(ALIVE + entry.tab));
  };
  try {
    const found = navigator.locks ? await navigator.locks.request("anymask-adopt", take) : await take();
    return found;
  } catch {
    return [];
  }
}

/** Forgets an entry of a closed window, once another one has it. */
export async function release(entry: Entry): Promise<void> {
  await work("readwrite", (store) => store.delete(entry.key)).catch(() => {});
}
