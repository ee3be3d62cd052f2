/** What was found as a file. */
import { signal } from "@preact/signals";
import { api, isAbort, type VideoFormat } from "../../api";
import { Modal, opened } from "../../dialogs/modal";
import { fail, say } from "../../state";
import { Download } from "../../ui/icons";
import { save } from "../exchange/save";
import { clip, objects } from "./clip";
import { countOf } from "./spans";

const FORMATS: { format: VideoFormat; title: string; hint: string }[] = [
  { format: "labels", title: "Label PNGs", hint: "zip, as DAVIS has them" },
  { format: "sav", title: "SA-V", hint: "zip, JSON with run lengths" },
  { format: "overlay", title: "Masks drawn in", hint: "MP4" },
  { format: "cutout", title: "Cut-out", hint: "WebM with transparency" },
  { format: "cutout-mov", title: "Cut-out for editing", hint: "MOV, ProRes 4444" },
];

const format = signal<VideoFormat>("labels");
const busy = signal<AbortController | null>(null);

async function exportNow(): Promise<void> {
  const open = clip.value;
  if (!open || busy.value) return;
  const control = (busy.value = new AbortController());
  try {
    const { blob, name } = await api.videos.export(open.id, format.value, control.signal);
    save(blob, name);
    say(`Saved ${name}.`);
    opened.value = null;
  } catch (error) {
    if (!isAbort(error)) fail(error);
  } finally {
    if (busy.value === control) busy.value = null;
  }
}

export function VideoExport() {
  return (
    <Modal name="video-export" title="Export the video" onClose={() => busy.value?.abort()}>
      {() => (
        <form
          class="form"
          onSubmit={(event) => {
            event.preventDefault();
            void exportNow();
          }}
        >
          <fieldset class="plain cards" aria-label="Format">
            {FORMATS.map((one) => (
              <label key={one.format}>
                <input
                  type="radio"
                  name="video-export-format"
                  checked={format.value === one.format}
                  data-testid={`video-export-${one.format}`}
                  onChange={() => (format.value = one.format)}
                />
                <span>{one.title}</span>
                <span class="muted small">{one.hint}</span>
              </label>
            ))}
          </fieldset>
          <p class="muted small">{reach()} All frames are written, also those that nothing was found on.</p>
          <div class="buttons">
            <button type="submit" class="button primary" disabled={busy.value !== null} data-testid="video-export-save">
              {busy.value ? <span class="spin" /> : <Download />}
              {busy.value ? "Writing …" : "Export"}
            </button>
          </div>
        </form>
      )}
    </Modal>
  );
}

/** How much of the video the objects were found on. */
function reach(): string {
  const frames = Math.max(0, ...objects.value.map((one) => countOf(one.spans)));
  const all = clip.value?.frames ?? 0;
  return frames < all ? `Tracked so far: ${frames} of ${all} frames.` : `Tracked: all ${all} frames.`;
}
