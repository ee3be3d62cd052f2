/** A picture's id on the server: by uploading, and again when the server has forgotten it. */
import { api, ApiError, pause } from "../api";
import { model, say, type Picture } from "../state";
import type { PictureInfo } from "../api";

const running = new Map<string, Promise<PictureInfo>>();

/** Uploads a file and starts its encoding for the chosen model. */
export function uploader(file: Blob): () => Promise<PictureInfo> {
  return () => api.pictures.upload(file, model.value ?? "default");
}

/** The picture as the server knows it; uploads it where needed. Throws ApiError. */
export function ready(picture: Picture): Promise<PictureInfo> {
  const known = picture.info.value;
  if (known && picture.status.value === "ready") return Promise.resolve(known);
  let job = running.get(picture.key);
  if (!job) {
    job = obtain(picture).finally(() => running.delete(picture.key));
    running.set(picture.key, job);
  }
  return job;
}

async function obtain(picture: Picture): Promise<PictureInfo> {
  picture.status.value = "uploading";
  picture.error.value = "";
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        const info = await picture.obtain();
        picture.info.value = info;
        picture.status.value = "ready";
        return info;
      } catch (error) {
        // A server that is starting again is worth waiting for.
        if (!(error instanceof ApiError && error.status === 0 && attempt < 5)) throw error;
        say("The server cannot be reached; trying again.");
        await pause(500 * 2 ** attempt);
      }
    }
  } catch (error) {
    picture.status.value = "error";
    picture.error.value = error instanceof Error ? error.message : String(error);
    throw error;
  }
}

/** True where the server no longer knows a picture or a mask. */
export function isForgotten(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 404 || error.status === 410);
}

/** Makes the next `ready` upload the picture again. `id` is the forgotten one: another call may have renewed it already. */
export function renew(picture: Picture, id: string): Promise<PictureInfo> {
  if (picture.info.value?.id === id && picture.status.value === "ready") picture.status.value = "waiting";
  return ready(picture);
}

/** Calls the server with the picture's id; where it has forgotten the picture, uploads it again and calls once more.
 *
 * `call` is told whether this is the second time: masks named by their ids are forgotten together with the picture.
 */
export async function withPicture<T>(picture: Picture, call: (id: string, again: boolean) => Promise<T>): Promise<T> {
  const info = await ready(picture);
  try {
    return await call(info.id, false);
  } catch (error) {
    if (!isForgotten(error)) throw error;
    const renewed = await forgottenPicture(picture, info.id);
    return call(renewed.id, true);
  }
}

async function forgottenPicture(picture: Picture, id: string): Promise<PictureInfo> {
  say("The server had forgotten the picture; uploading it again.");
  return renew(picture, id);
}
