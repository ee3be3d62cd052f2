/** What the background panel asks for, and the request that follows from it. */
import { computed, signal } from "@preact/signals";
import { api, ApiError, type CutoutOptions, type ModelInfo } from "../../api";
import { withPicture } from "../../pictures/upload";
import { current, doc, models, selectedItems, type Picture } from "../../state";

export type Subject = "subject" | "objects";
export type Behind = "transparent" | "color" | "picture" | "blur";
export type Edges = NonNullable<CutoutOptions["edges"]>;
export type FileFormat = "png" | "webp" | "jpg";

/** The longer side of previews. */
export const PREVIEW = 1200;

export const subject = signal<Subject>("subject");
export const matteModel = signal<string | null>(null);
export const behind = signal<Behind>("transparent");
export const color = signal("#ffffff");
export const edges = signal<Edges>("fast");
/** Whether the old background's colours are taken out of the edges. */
export const foreground = signal(true);
/** Whether the mask is made hard, with a smooth outline. */
export const clean = signal(false);
export const crop = signal(false);
export const margin = signal(8);
export const pad = signal<"" | "square" | "4:5">("");
export const shadow = signal(false);
export const outline = signal(false);
export const outlineColor = signal("#ffffff");
export const outlineWidth = signal(2);
export const maskOnly = signal(false);

/** The picture to lay behind, as its file and as the server knows it. */
export const backdrop = signal<{ file: File; id: string; url: string } | null>(null);

/** The models that find a subject by themselves. */
export const matteModels = computed<ModelInfo[]>(() => models.value?.models.filter((one) => one.tasks.includes("matte")) ?? []);
export const chosenModel = computed<ModelInfo | null>(() => {
  const wanted = matteModel.value ?? models.value?.matte;
  return matteModels.value.find((one) => one.name === wanted) ?? matteModels.value[0] ?? null;
});
/** Whether the server has a model that refines edges from a trimap. */
export const canVitmatte = computed(() => models.value?.models.some((one) => one.tasks.includes("trimap")) ?? false);

/** Shadow, outline, crop and pad change what the picture's own background would be; the server refuses them with blur. */
export const finishes = computed(() => behind.value !== "blur" || maskOnly.value);

/** Why nothing can be cut out now, or "". */
export const missing = computed(() => {
  if (!current.value) return "Open a picture first.";
  if (subject.value === "subject") return chosenModel.value || !models.value ? "" : "This server has no model that finds subjects; cut out selected objects.";
  if (!doc.value.items.length) return "There are no objects yet. Click on one in the picture to make it.";
  return selectedItems.value.length ? "" : "Select the objects to cut out, in the picture or in the list.";
});

/** What the server is asked for, without format and size; null where something is missing. */
export const options = computed<CutoutOptions | null>(() => {
  if (missing.value || !models.value) return null;
  const asked: CutoutOptions =
    subject.value === "objects" ? { masks: selectedItems.value.map((item) => item.rle) } : { model: chosenModel.value!.name };
  asked.edges = edges.value;
  asked.foreground = foreground.value;
  asked.clean = clean.value;
  if (maskOnly.value) asked.mask_only = true;
  else if (behind.value === "color") asked.background = color.value;
  else if (behind.value === "blur") asked.background = "blur";
  else if (behind.value === "picture") {
    if (!backdrop.value) return null;
    asked.background = { picture: backdrop.value.id };
  }
  if (finishes.value) {
    if (crop.value) Object.assign(asked, { crop: true, margin: `${margin.value}%` });
    if (pad.value) asked.pad = pad.value;
    if (!maskOnly.value) {
      if (shadow.value) asked.shadow = true;
      if (outline.value) asked.outline = `${outlineWidth.value}%:${outlineColor.value}`;
    }
  }
  return asked;
});

/** The cut-out's file. A picture that the server forgot, also the one behind, is uploaded again. */
export async function cutOut(picture: Picture, asked: CutoutOptions, signal?: AbortSignal): Promise<Blob> {
  try {
    return await withPicture(picture, (id) => api.cutout(id, asked, signal));
  } catch (error) {
    const back = backdrop.value;
    const forgotten = error instanceof ApiError && (error.status === 404 || error.status === 410);
    if (!forgotten || !back || typeof asked.background !== "object" || !asked.background) throw error;
    const { id } = await api.pictures.upload(back.file, null, signal);
    if (backdrop.value === back) backdrop.value = { ...back, id };
    return await withPicture(picture, (known) => api.cutout(known, { ...asked, background: { picture: id } }, signal));
  }
}

/** Uploads the picture that is to lie behind and chooses it. */
export async function chooseBackdrop(file: File): Promise<void> {
  const { id } = await api.pictures.upload(file, null);
  if (backdrop.value) URL.revokeObjectURL(backdrop.value.url);
  // The server's reduced copy rather than the file: the browser may not know the format.
  const url = URL.createObjectURL(await api.pictures.image(id, 240));
  backdrop.value = { file, id, url };
  behind.value = "picture";
}

/** "beach.jpg" as "beach.cutout.png". */
export function fileName(picture: Picture, format: FileFormat): string {
  return `${picture.name.replace(/\.[A-Za-z0-9]{1,5}$/, "") || "picture"}.cutout.${format}`;
}
