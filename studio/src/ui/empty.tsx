/** The page before a picture is open, and while one is on its way. */
import { api } from "../api";
import { current, fail, models, touch } from "../state";
import { arrived, pixelsOf } from "../canvas/pictures";
import { openFiles } from "../pictures/open";
import { renew } from "../pictures/upload";
import { hint } from "../commands";
import { pickFiles } from "../pictures/open";
import { filming } from "../slots";
import { Folder, Open } from "./icons";

async function openSample(name: string): Promise<void> {
  try {
    const blob = await api.sample(name);
    await openFiles([new File([blob], name, { type: blob.type || "image/jpeg" })]);
  } catch (error) {
    fail(error);
  }
}

export function Empty() {
  if (filming.value) return null;
  const samples = models.value?.samples ?? [];
  return (
    <div class="invitation live" data-testid="empty">
      <svg viewBox="0 0 120 84" class="drawing" aria-hidden="true">
        <rect x="6" y="6" width="108" height="72" rx="9" />
        <path class="mask" d="M28 62c-4-18 8-40 28-41s37 13 36 28-13 17-24 16-10-7-19-7-18 12-21 4z" />
        <circle cx="62" cy="43" r="4" />
      </svg>
      <h1>{touch.matches ? "Open a picture" : "Drop pictures here"}</h1>
      <p class="muted">
        {touch.matches
          ? "Then tap an object; hold a finger on what does not belong to it. Pictures stay on this server."
          : "Files or folders; or paste one with Ctrl+V. They stay on this server."}
      </p>
      <div class="row choices">
        <button type="button" class="button primary" title={hint("pictures.open")} onClick={() => pickFiles()} data-testid="open-empty">
          <Open />
          Open pictures
        </button>
        <button type="button" class="button" title={hint("pictures.folder")} onClick={() => pickFiles(true)}>
          <Folder />
          Open a folder
        </button>
      </div>
      {samples.length > 0 && (
        <div class="row choices" data-testid="samples">
          <span class="muted">Or try one:</span>
          {samples.map((name) => (
            <button key={name} type="button" class="button" title="A photograph under CC BY 2.0" onClick={() => openSample(name)} data-testid={`sample-${name}`}>
              {name.replace(/\.\w+$/, "")}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

/** Over the canvas while the picture is on its way, or when it could not be opened. */
export function Arriving() {
  const picture = current.value;
  if (!picture) return null;
  if (picture.info.value) {
    // Grows when pixels arrive; reading it draws this again.
    arrived.value;
    return pixelsOf(picture) ? null : (
      <div class="invitation" role="status" aria-label="Loading the picture">
        <span class="spinner late" />
      </div>
    );
  }
  if (picture.status.value !== "error") {
    return (
      <div class="invitation" role="status">
        <span class="spinner" />
        <p class="muted">Uploading {picture.name} …</p>
      </div>
    );
  }
  return (
    <div class="invitation live" role="alert">
      <h1>This picture cannot be opened</h1>
      <p class="muted">{picture.error.value}</p>
      <button type="button" class="button" onClick={() => renew(picture, "").catch(() => {})}>
        Try again
      </button>
    </div>
  );
}
