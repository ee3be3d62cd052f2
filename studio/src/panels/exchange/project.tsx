/** A project's annotations to and from the files of other programs. */
import { signal } from "@preact/signals";
import { api } from "../../api";
import { Switch } from "../../dialogs/controls";
import { Modal, opened } from "../../dialogs/modal";
import { fail, say } from "../../state";
import { Upload } from "../../ui/icons";
import { drafts } from "../project/draft";
import { leave, open, openItem, project, refresh } from "../project/store";
import { count, follow } from "./save";

type Format = Parameters<typeof api.projects.exportUrl>[1];
type ImportFormat = NonNullable<Parameters<typeof api.projects.import>[2]>;

const FORMATS: { format: Format; title: string; hint: string }[] = [
  { format: "coco", title: "COCO", hint: "One JSON with run lengths" },
  { format: "yolo", title: "YOLO", hint: "Polygons as text, data.yaml" },
  { format: "labels", title: "Label PNGs", hint: "A PNG of numbers for each picture" },
  { format: "labelme", title: "LabelMe", hint: "A JSON of polygons for each picture" },
  { format: "sa1b", title: "SA-1B", hint: "The project as it is, as Segment Anything's data" },
];

const withPictures = signal(true);
const importFormat = signal<ImportFormat>("auto");
const importing = signal("");
const report = signal<{ file: string; pictures: number; objects: number; skipped: string[] } | null>(null);

/** Whether a file may be annotations or a whole data set. */
export function isArchive(file: File): boolean {
  return /\.(zip|json)$/i.test(file.name);
}

/** Imports a file into the open project and shows what came of it. */
export async function importFile(file: File): Promise<void> {
  const of = project.value?.name;
  if (!of || importing.value) return;
  importing.value = file.name;
  try {
    await saveAll();
    const answer = await api.projects.import(of, file, importFormat.value);
    report.value = { file: file.name, ...answer };
    opened.value = "report";
    say(`Imported ${count(answer.pictures, "picture")} and ${count(answer.objects)}.`);
    // The open item may have got objects: it is opened anew, unless something of it is still on its way.
    const item = openItem.value;
    await refresh();
    if (item && answer.objects && !item.draft.dirty && openItem.value === item) {
      leave();
      await open(item.name);
    }
  } catch (error) {
    fail(error);
  } finally {
    importing.value = "";
  }
}

/** Sends what is not saved yet, and waits a little for it. */
async function saveAll(): Promise<void> {
  drafts.value.forEach((draft) => draft.flush());
  for (let tries = 0; tries < 20 && drafts.value.some((draft) => draft.dirty && draft.state.value !== "conflict"); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function exportNow(format: Format): Promise<void> {
  const of = project.value?.name;
  if (!of) return;
  await saveAll();
  // A link rather than a request: archives of many gigabytes go straight to the disk.
  follow(api.projects.exportUrl(of, format, withPictures.value));
  say(`Exporting ${of} as ${format}.`);
}

export function Exchange() {
  return (
    <details class="fold">
      <summary>Export and import</summary>
      <div class="fold-inside">
        <div class="formats" role="group" aria-label="Export the project as">
          {FORMATS.map((one) => (
            <button key={one.format} type="button" class="button" title={one.hint} data-testid={`project-export-${one.format}`} onClick={() => void exportNow(one.format)}>
              {one.title}
            </button>
          ))}
        </div>
        <Switch signal={withPictures} title="With the pictures" testid="export-pictures" />
        <div class="row">
          <select
            class="field"
            aria-label="Format of the import"
            value={importFormat.value}
            onChange={(event) => (importFormat.value = event.currentTarget.value as ImportFormat)}
          >
            <option value="auto">Find out the format</option>
            {FORMATS.map((one) => (
              <option key={one.format} value={one.format}>
                {one.title}
              </option>
            ))}
          </select>
          <label class="button file" title="A zip or JSON; or drop it on the page">
            {importing.value ? <span class="spin" /> : <Upload />}
            Import
            <input
              type="file"
              accept=".zip,.json"
              aria-label="Import a zip or JSON file"
              data-testid="import-file"
              disabled={!!importing.value}
              onChange={(event) => {
                const file = event.currentTarget.files?.[0];
                event.currentTarget.value = "";
                if (file) void importFile(file);
              }}
            />
          </label>
        </div>
      </div>
    </details>
  );
}

const MOST = 200;

export function ReportDialog() {
  return (
    <Modal name="report" title="Imported">
      {() => {
        const now = report.value;
        if (!now) return null;
        return (
          <div class="form">
            <p>
              {now.file}: {count(now.pictures, "new picture")}, {count(now.objects, "new object")}.
            </p>
            {now.skipped.length > 0 && (
              <>
                <p class="muted">{count(now.skipped.length, "thing")} left out:</p>
                <ul class="skipped" tabIndex={0}>
                  {now.skipped.slice(0, MOST).map((sentence) => (
                    <li key={sentence}>{sentence}</li>
                  ))}
                  {now.skipped.length > MOST && <li>… and {now.skipped.length - MOST} more.</li>}
                </ul>
              </>
            )}
            <div class="buttons">
              <button type="button" class="button primary" onClick={() => (opened.value = null)}>
                Close
              </button>
            </div>
          </div>
        );
      }}
    </Modal>
  );
}
