/** Opening and closing pictures. */
import { batch } from "@preact/signals";
import { currentKey, makePicture, pictures, say, show, toast, type Picture } from "../state";
import { forget, load } from "../canvas/pictures";
import { ready, uploader } from "./upload";
import { forgetStored } from "./store";

const ENDINGS = /\.(jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|hei[cf]|ppm|pgm|pbm|pnm|tga|ico|jp2|j2k|jxl|psd|qoi|dds)$/i;

/** What file choosers offer as videos. */
export const VIDEOS = "video/*,.mkv,.mov,.avi,.webm,.mp4,.m4v,.ts,.mts";

/** Whether a file may be a picture, by its type or its name. The server has the last word. */
export function mayBePicture(file: File): boolean {
  return file.type.startsWith("image/") ? file.type !== "image/svg+xml" : ENDINGS.test(file.name);
}

/** Adds pictures to the list and shows the first of them. */
export function openPictures(opened: readonly Picture[]): void {
  if (!opened.length) return;
  batch(() => {
    pictures.value = [...pictures.value, ...opened];
    show(opened[0].key);
  });
  say(opened.length === 1 ? `Opened ${opened[0].name}.` : `Opened ${opened.length} pictures.`);
}

/** What takes files before they become pictures (a project, an importer): returns true for those it took care of. */
export const fileHandlers: ((files: File[]) => boolean | Promise<boolean>)[] = [];

/** Opens the pictures among files; says what it left out. */
export async function openFiles(files: readonly File[]): Promise<void> {
  for (const handler of fileHandlers) if (await handler([...files])) return;
  const good = files.filter(mayBePicture);
  if (files.length > good.length) {
    const left = files.length - good.length;
    toast(good.length ? `${left} of ${files.length} files are no pictures and were left out.` : "No picture among these files.");
  }
  openPictures(good.map((file) => makePicture({ name: file.name || "Pasted picture", file, obtain: uploader(file) })));
}

/** The files of a drop, folders included, in the order of their names. */
export async function droppedFiles(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some((entry) => entry?.isDirectory)) return [...transfer.files];
  const files: File[] = [];
  const walk = async (entry: FileSystemEntry): Promise<void> => {
    if (entry.isFile) {
      files.push(await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)));
    } else if (entry.isDirectory) {
      const reader = (entry as FileSystemDirectoryEntry).createReader();
      const inside: FileSystemEntry[] = [];
      // A reader gives a hundred entries at a time.
      for (;;) {
        const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) break;
        inside.push(...some);
      }
      inside.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
      for (const one of inside) if (!one.name.startsWith(".")) await walk(one);
    }
  };
  for (const entry of entries) if (entry) await walk(entry);
  return files;
}

/** Lets the person choose files, or a folder. */
export function pickFiles(folder = false): void {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  if (folder) input.webkitdirectory = true;
  else input.accept = `image/*,.heic,.heif,.tif,.tiff,.avif,.jp2,.psd,${VIDEOS}`;
  // Some browsers forget a field that is not in the page while its dialog is open.
  input.hidden = true;
  document.body.append(input);
  input.oncancel = () => input.remove();
  input.onchange = () => {
    input.remove();
    const files = [...(input.files ?? [])];
    if (folder) files.sort((a, b) => a.webkitRelativePath.localeCompare(b.webkitRelativePath, undefined, { numeric: true }));
    void openFiles(files);
  };
  input.click();
}

/** Closes a picture at a person's wish, who may want what was made of it back. */
export function closeByHand(key: string): void {
  const index = pictures.value.findIndex((picture) => picture.key === key);
  const picture = pictures.value[index];
  if (!picture) return;
  closePicture(key);
  say(`Closed ${picture.name}.`);
  const { items, pending } = picture.doc.value;
  if (!picture.mirrored || !(items.length || pending)) return;
  const back = () => {
    picture.thumbnail.value = "";
    const now = pictures.value;
    pictures.value = [...now.slice(0, index), picture, ...now.slice(index)];
    show(key);
  };
  toast(`Closed ${picture.name} with its objects.`, "info", { title: "Open again", run: back });
}

/** Takes a picture off the list; its neighbour is shown. */
export function closePicture(key: string): void {
  const all = pictures.value;
  const index = all.findIndex((picture) => picture.key === key);
  if (index < 0) return;
  const rest = all.filter((picture) => picture.key !== key);
  batch(() => {
    if (currentKey.value === key) show(rest[Math.min(index, rest.length - 1)]?.key ?? null);
    pictures.value = rest;
  });
  if (all[index].thumbnail.value) URL.revokeObjectURL(all[index].thumbnail.value);
  forget(key);
  void forgetStored(key);
}

/** Goes `step` pictures further in the list. */
export function go(step: number): void {
  const all = pictures.value;
  const index = all.findIndex((picture) => picture.key === currentKey.value) + step;
  if (index >= 0 && index < all.length) {
    show(all[index].key);
    say(`Picture ${index + 1} of ${all.length}: ${all[index].name}`);
  }
}

/** Uploads the picture that is shown, and then, quietly, the next one, so that going on is quick. */
export async function prepare(picture: Picture): Promise<void> {
  await load(picture);
  const all = pictures.value;
  const next = all[all.indexOf(picture) + 1];
  if (currentKey.value === picture.key && next) await ready(next).catch(() => {});
}
