/** The objects of one picture as a file. */
import { signal } from "@preact/signals";
import { api, type ExportFormat } from "../../api";
import { register } from "../../commands";
import { Cards, Choice } from "../../dialogs/controls";
import { Modal, opened } from "../../dialogs/modal";
import { pendingMask } from "../../masks/pending";
import { withPicture } from "../../pictures/upload";
import { fill, filming } from "../../slots";
import { current, doc, fail, pending, say, selectedItems } from "../../state";
import { CommandButton } from "../../ui/controls";
import { Download } from "../../ui/icons";
import { count, save } from "./save";

const FORMATS: { value: ExportFormat; title: string; hint: string }[] = [
  { value: "coco", title: "COCO", hint: "JSON with run lengths" },
  { value: "png", title: "Label PNG", hint: "each object a number" },
  { value: "svg", title: "SVG", hint: "outlines as paths" },
  { value: "geojson", title: "GeoJSON", hint: "outlines as polygons" },
  { value: "npz", title: "NumPy", hint: "npz with an array" },
  { value: "labelme", title: "LabelMe", hint: "JSON with polygons" },
  { value: "yolo", title: "YOLO", hint: "segmentation, text" },
  { value: "sa1b", title: "SA-1B", hint: "JSON of Segment Anything" },
];

const format = signal<ExportFormat>("coco");
const which = signal<"all" | "visible" | "selected">("all");
const busy = signal(false);

function chosen() {
  const items = doc.value.items;
  if (which.value === "selected") return selectedItems.value;
  return which.value === "visible" ? items.filter((item) => !item.hidden) : items;
}

/** What is being made counts as well: whoever exports means what is seen. */
function parts() {
  const made = pending.value;
  const rle = made && made.edits === null && which.value !== "selected" ? pendingMask(made) : null;
  const extra = rle ? [{ rle, name: made!.name, score: made!.candidates[made!.chosen]?.score }] : [];
  return [...extra, ...chosen().map(({ rle, name, score }) => ({ rle, name, score }))];
}

async function exportNow(): Promise<void> {
  const picture = current.value;
  if (!picture || busy.value) return;
  busy.value = true;
  try {
    const body = { format: format.value, file_name: picture.name, objects: parts() };
    const { blob, name } = await withPicture(picture, (id) => api.exportObjects(id, body));
    save(blob, name);
    say(`Saved ${name}.`);
    opened.value = null;
  } catch (error) {
    fail(error);
  } finally {
    busy.value = false;
  }
}

function ExportDialog() {
  return (
    <Modal name="export" title="Export the objects">
      {() => (
        <form
          class="form"
          onSubmit={(event) => {
            event.preventDefault();
            void exportNow();
          }}
        >
          <Cards label="Format" value={format} options={FORMATS} testid="export" />
          <Choice
            label="Which objects"
            value={which}
            options={[
              { value: "all", title: "All" },
              { value: "visible", title: "Visible" },
              { value: "selected", title: "Selected" },
            ]}
            testid="export-which"
          />
          <div class="buttons">
            <span class="muted grow">{count(parts().length)}</span>
            <button type="submit" class="button primary" disabled={busy.value || !parts().length} data-testid="export-save">
              {busy.value ? <span class="spin" /> : <Download />}
              Export
            </button>
          </div>
        </form>
      )}
    </Modal>
  );
}

export function installPictureExport(): void {
  fill("floating", "export", ExportDialog, 80);
  fill("top-right", "export", () => <CommandButton id={filming.value ? "video.export" : "exchange.export"} icon={Download} text="Export" class="quiet" />, 20);
  register({
    id: "exchange.export",
    title: "Export the objects of this picture",
    group: "Files",
    keys: ["Mod+S"],
    enabled: () => current.value !== null && (doc.value.items.length > 0 || pending.value !== null),
    run: () => {
      which.value = selectedItems.value.length > 1 ? "selected" : "all";
      opened.value = "export";
    },
  });
}
