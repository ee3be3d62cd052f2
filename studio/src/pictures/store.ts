/** The browser's own store (IndexedDB): pictures that belong to no project and their objects survive a reload. */
import { effect } from "@preact/signals";
import { EMPTY_DOC, type Doc } from "../doc";
import { currentKey, makePicture, pictures, show, toast, type Picture } from "../state";
import { uploader } from "./upload";

interface StoredPicture {
  key: string;
  name: string;
  file: Blob;
}

const NAME = "anymask-studio";
const DELAY = 400;
let opened: Promise<IDBDatabase> | null = null;
let complained = false;

function database(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("pictures", { keyPath: "key" });
      request.result.createObjectStore("docs");
      request.result.createObjectStore("session");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function write(stores: string[], work: (transaction: IDBTransaction) => void): Promise<void> {
  try {
    const transaction = (await database()).transaction(stores, "readwrite");
    work(transaction);
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  } catch {
    if (!complained) toast("This browser cannot keep the pictures over a reload (its storage is full or closed).");
    complained = true;
  }
}

function read<T>(transaction: IDBTransaction, store: string, key?: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const source = transaction.objectStore(store);
    const request = key === undefined ? source.getAll() : source.get(key);
    request.onsuccess = () => resolve(request.result as T);
    request.onerror = () => reject(request.error);
  });
}

/** One tab keeps its pictures; a second one begins empty, and what it makes lasts as long as it is open.
 *
 * Where the browser has no locks (a page that is not secure), every tab keeps its own, and the last one wins.
 */
function claim(): Promise<boolean> {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    // After a reload the page before may hold the lock for a moment.
    const patience = AbortSignal.timeout(700);
    navigator.locks
      .request(NAME, { signal: patience }, () => {
        resolve(true);
        return new Promise(() => {});
      })
      .catch(() => resolve(false));
  });
}

let owner = false;

/** Opens what was open before the reload. Gives the number of pictures. */
export async function restore(): Promise<number> {
  try {
    owner = await claim();
    if (!owner) return 0;
    const transaction = (await database()).transaction(["pictures", "docs", "session"], "readonly");
    const stored = await read<StoredPicture[]>(transaction, "pictures");
    const order = (await read<string[] | undefined>(transaction, "session", "order")) ?? [];
    const at = await read<string | undefined>(transaction, "session", "current");
    const found: Picture[] = [];
    for (const { key, name, file } of stored) {
      if (!order.includes(key)) continue;
      const doc = await read<Doc | undefined>(transaction, "docs", key);
      found.push(makePicture({ key, name, file, doc, obtain: uploader(file) }));
    }
    found.sort((a, b) => order.indexOf(a.key) - order.indexOf(b.key));
    saved = new Set(found.map((picture) => picture.key));
    if (found.length) {
      pictures.value = [...found, ...pictures.value];
      show(found.some((picture) => picture.key === at) ? at! : found[0].key);
    }
    return found.length;
  } catch {
    return 0;
  }
}

let saved = new Set<string>();
const watched = new Map<string, () => void>();

/** Writes every change into the store, a moment later. */
export function mirror(): void {
  if (!owner) return;
  effect(() => {
    const kept = pictures.value.filter((picture) => picture.mirrored && picture.file);
    for (const picture of kept) {
      if (watched.has(picture.key)) continue;
      watched.set(picture.key, watchDoc(picture));
      if (!saved.has(picture.key)) {
        saved.add(picture.key);
        const entry: StoredPicture = { key: picture.key, name: picture.name, file: picture.file! };
        // One that was closed and is opened again brings along what was made of it.
        const doc = picture.doc.peek();
        void write(["pictures", "docs"], (transaction) => {
          transaction.objectStore("pictures").put(entry);
          if (doc !== EMPTY_DOC) transaction.objectStore("docs").put(doc, picture.key);
        });
      }
    }
    const order = kept.map((picture) => picture.key);
    const at = currentKey.value;
    void write(["session"], (transaction) => {
      transaction.objectStore("session").put(order, "order");
      transaction.objectStore("session").put(at, "current");
    });
  });
}

const unsaved = new Map<string, () => void>();

function watchDoc(picture: Picture): () => void {
  let timer = 0;
  let first = true;
  return effect(() => {
    const doc = picture.doc.value;
    if (first) return void (first = false);
    clearTimeout(timer);
    const save = () => {
      clearTimeout(timer);
      unsaved.delete(picture.key);
      void write(["docs"], (transaction) => transaction.objectStore("docs").put(doc, picture.key));
    };
    unsaved.set(picture.key, save);
    timer = window.setTimeout(save, DELAY);
  });
}

// What is not written yet is written when the page is left; a hidden page on a phone may never come back.
const flush = () => [...unsaved.values()].forEach((save) => save());
addEventListener("pagehide", flush);
document.addEventListener("visibilitychange", () => document.hidden && flush());

/** Takes a closed picture out of the store. */
export async function forgetStored(key: string): Promise<void> {
  watched.get(key)?.();
  watched.delete(key);
  unsaved.delete(key);
  if (!saved.delete(key)) return;
  await write(["pictures", "docs"], (transaction) => {
    transaction.objectStore("pictures").delete(key);
    transaction.objectStore("docs").delete(key);
  });
}
