/** What was found as a file. */
import { signal } from "@preact/signals";
import { api, isAbort, type VideoFormat } from "../../api";
import { Cards } from "../../dialogs/controls";
import { Modal, opened } from "../../dialogs/modal";
import { fail, say } from "../../state";
import { Download } from "../../ui/icons";
import { save } from "../exchange/save";
import { clip, objects } from "./clip";
import { countOf } from "./spans";

const FORMATS: { value: VideoFormat; title: string; hint: string }[] = [
  { value: "labels", title: "Label PNGs", hint: "zip, as DAVIS has them" },
  { value: "sav", title: "SA-V", hint: "zip, JSON with run lengths" },
  { value: "overlay", title: "Masks drawn in", hint: "MP4" },
  { value: "cutout", title: "Cut-out", hint: "WebM with transparency" },
  { value: "cutout-mov", title: "Cut-out for editing", hint: "MOV, ProRes 4444" },
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
          <Cards label="Format" value={format} options={FORMATS} testid="video-export" />
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
