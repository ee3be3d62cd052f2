/** Every route of the server as a function. All throw ApiError. */
import { ndjson } from "./ndjson";
import { request, requestJson } from "./http";
import type * as T from "./types";

const id = encodeURIComponent;

export const session = {
  get: () => requestJson<{ needs_key: boolean; signed_in: boolean }>("/api/session"),
  signIn: (key: string) => requestJson<void>("/api/session", { json: { key } }),
};

export const models = (): Promise<T.Models> => requestJson("/api/models");

export const pictures = {
  /** Uploads a file; `encode` names the model that starts encoding it at once. */
  upload: (file: Blob, encode: string | null = "default", signal?: AbortSignal): Promise<T.PictureInfo> =>
    requestJson(`/api/pictures${encode ? `?encode=${id(encode)}` : ""}`, {
      method: "POST",
      body: file,
      // The server finds the format in the bytes; multipart and JSON would be read otherwise.
      headers: { "Content-Type": file.type.startsWith("image/") ? file.type : "application/octet-stream" },
      signal,
    }),
  fromUrl: (url: string, encode: string | null = "default"): Promise<T.PictureInfo> =>
    requestJson(`/api/pictures${encode ? `?encode=${id(encode)}` : ""}`, { json: { url } }),
  get: (picture: string): Promise<T.PictureInfo> => requestJson(`/api/pictures/${id(picture)}`),
  image: async (picture: string, max = 4096, signal?: AbortSignal): Promise<Blob> =>
    (await request(`/api/pictures/${id(picture)}/image?max=${max}`, { signal })).blob(),
  remove: (picture: string): Promise<void> => requestJson(`/api/pictures/${id(picture)}`, { method: "DELETE" }),
  encode: (picture: string, model?: string): Promise<{ model: string; milliseconds: number }> =>
    requestJson(`/api/pictures/${id(picture)}/encode`, { json: { model } }),
};

export const predict = (
  picture: string,
  body: { model?: string; prompts: T.PromptRequest[]; multimask?: boolean | null; polygons?: boolean },
  signal?: AbortSignal,
): Promise<T.PredictAnswer> => requestJson(`/api/pictures/${id(picture)}/predict`, { json: body, signal });

/** The lines of "everything" as they come; aborting `signal` cancels the work on the server too. */
export async function* everything(
  picture: string,
  body: { model?: string; [option: string]: unknown },
  signal?: AbortSignal,
): AsyncGenerator<T.EverythingLine> {
  const response = await request(`/api/pictures/${id(picture)}/everything`, { json: { ...body, stream: true }, signal });
  yield* ndjson<T.EverythingLine>(response);
}

/** The cut-out's file. */
export const cutout = async (picture: string, body: T.CutoutOptions, signal?: AbortSignal): Promise<Blob> =>
  (await request(`/api/pictures/${id(picture)}/cutout`, { json: body, signal })).blob();

/** Masks as a file of one of the formats; `name` is the one the server gives it. */
export async function exportObjects(
  picture: string,
  body: { format: T.ExportFormat; file_name?: string; objects: { rle: T.RLE; name?: string; score?: number }[] },
): Promise<{ blob: Blob; name: string }> {
  const response = await request(`/api/pictures/${id(picture)}/export`, { json: body });
  return { blob: await response.blob(), name: fileName(response) ?? `masks.${body.format}` };
}

function fileName(response: Response): string | null {
  const given = /filename\*?=(?:UTF-8'')?"?([^";]+)/i.exec(response.headers.get("Content-Disposition") ?? "");
  return given && decodeURIComponent(given[1]);
}

/** The bytes of a sample picture; ApiError 404 where the server has none. */
export const sample = async (name: string): Promise<Blob> => (await request(`/api/samples/${id(name)}`)).blob();

export const projects = {
  list: (): Promise<{ projects: T.ProjectSummary[] }> => requestJson("/api/projects"),
  create: (name: string): Promise<unknown> => requestJson("/api/projects", { json: { name } }),
  get: (project: string): Promise<T.Project> => requestJson(`/api/projects/${id(project)}`),
  addItem: (project: string, name: string, file: Blob, signal?: AbortSignal): Promise<T.ProjectItem> =>
    requestJson(`/api/projects/${id(project)}/items?name=${id(name)}`, {
      method: "POST",
      body: file,
      headers: { "Content-Type": "application/octet-stream" },
      signal,
    }),
  item: (project: string, name: string): Promise<T.ProjectItemFull> =>
    requestJson(`/api/projects/${id(project)}/items/${id(name)}`),
  /** An item's picture, small. */
  image: async (project: string, name: string, max: number): Promise<Blob> =>
    (await request(`/api/projects/${id(project)}/items/${id(name)}/image?max=${max}`)).blob(),
  /** ApiError 409 with `body` {revision, objects, status} where somebody saved in between. */
  save: (
    project: string,
    name: string,
    body: { revision: number; status: T.ItemStatus; objects: T.ObjectRecord[] },
  ): Promise<{ revision: number }> =>
    requestJson(`/api/projects/${id(project)}/items/${id(name)}`, { method: "PUT", json: body }),
  removeItem: (project: string, name: string): Promise<void> =>
    requestJson(`/api/projects/${id(project)}/items/${id(name)}`, { method: "DELETE" }),
  /** The address of a project's archive, for a download link. */
  exportUrl: (project: string, format: "coco" | "yolo" | "labels" | "labelme" | "sa1b", withPictures = true): string =>
    `/api/projects/${id(project)}/export?format=${format}${withPictures ? "" : "&pictures=false"}`,
  import: (
    project: string,
    file: Blob,
    format: "auto" | "coco" | "yolo" | "labels" | "labelme" | "sa1b" = "auto",
  ): Promise<{ pictures: number; objects: number; skipped: string[] }> =>
    requestJson(`/api/projects/${id(project)}/import?format=${format}`, {
      method: "POST",
      body: file,
      headers: { "Content-Type": "application/octet-stream" },
    }),
  async *automatic(
    project: string,
    body: { model?: string; only_new?: boolean; [option: string]: unknown },
    signal?: AbortSignal,
  ): AsyncGenerator<T.AutomaticLine> {
    yield* ndjson<T.AutomaticLine>(await request(`/api/projects/${id(project)}/automatic`, { json: body, signal }));
  },
};

type Objects = { objects: T.VideoObject[] };

export const videos = {
  /** Opens a video: its file goes to the server, for as long as it is open. */
  open: (file: Blob, name: string, model: string | null, signal?: AbortSignal): Promise<T.VideoInfo> =>
    requestJson(`/api/videos?name=${id(name)}${model ? `&model=${id(model)}` : ""}`, {
      method: "POST",
      body: file,
      headers: { "Content-Type": "application/octet-stream" },
      signal,
    }),
  get: (video: string): Promise<T.VideoInfo> => requestJson(`/api/videos/${id(video)}`),
  close: (video: string): Promise<void> => requestJson(`/api/videos/${id(video)}`, { method: "DELETE" }),
  frame: async (video: string, index: number, max: number, signal?: AbortSignal): Promise<Blob> =>
    (await request(`/api/videos/${id(video)}/frames/${index}?max=${max}`, { signal })).blob(),
  masks: (video: string, index: number): Promise<{ masks: T.VideoMask[] }> =>
    requestJson(`/api/videos/${id(video)}/frames/${index}/masks`),
  prompt: (
    video: string,
    body: { frame: number; object: number; points?: T.Point[]; labels?: (0 | 1)[]; box?: T.Box | null; replace?: boolean },
  ): Promise<Objects & { mask: T.VideoMask }> => requestJson(`/api/videos/${id(video)}/prompt`, { json: body }),
  clear: (video: string, frame: number, object: number): Promise<Objects> =>
    requestJson(`/api/videos/${id(video)}/clear`, { json: { frame, object } }),
  remove: (video: string, object: number): Promise<Objects> =>
    requestJson(`/api/videos/${id(video)}/objects/${object}`, { method: "DELETE" }),
  reset: (video: string, model: string | null): Promise<T.VideoInfo> =>
    requestJson(`/api/videos/${id(video)}/reset`, { json: { model } }),
  /** Objects from frame to frame, as they are found. `cancel` ends it at the next frame, aborting `signal` too. */
  async *propagate(
    video: string,
    body: { start?: number; stop?: number; reverse?: boolean },
    signal?: AbortSignal,
  ): AsyncGenerator<T.TrackLine> {
    yield* ndjson<T.TrackLine>(await request(`/api/videos/${id(video)}/propagate`, { json: body, signal }));
  },
  cancel: (video: string): Promise<{ cancelled: boolean }> => requestJson(`/api/videos/${id(video)}/cancel`, { method: "POST" }),
  /** What was found as a file, with the server's name for it. */
  export: async (video: string, format: T.VideoFormat, signal?: AbortSignal): Promise<{ blob: Blob; name: string }> => {
    const response = await request(`/api/videos/${id(video)}/export?format=${format}`, { signal });
    return { blob: await response.blob(), name: fileName(response) ?? `video.${format}` };
  },
};
