/** The Background panel: cut out the subject or the selected objects, and put something else behind. */
import type { ComponentChildren } from "preact";
import { register } from "../../commands";
import { addPanel, fill, openPanel } from "../../slots";
import { current, doc, fail, select, selectedItems, type Picture } from "../../state";
import { Download } from "../../ui/icons";
import { Terms, terms } from "../../ui/terms";
import { Copy } from "../../dialogs/icons";
import { Choice, Slide, Switch } from "../../dialogs/controls";
import "../../dialogs/controls.css";
import "./background.css";
import { canCopy, copy, download, making } from "./files";
import { watchPreview } from "./preview";
import { Stage } from "./stage";
import * as s from "./state";

const SWATCHES = ["#ffffff", "#f2efe9", "#c9d6df", "#8fb8de", "#a8c686", "#f4c95d", "#e76f51", "#2b2d33"];

export function installBackground(): void {
  addPanel({ id: "background", title: "Background", component: BackgroundPanel, order: 20 });
  fill("overlay", "background", Stage, 30);
  watchPreview();
  register(
    {
      id: "background.show",
      title: "Cut out and change the background",
      group: "Background",
      keys: ["G"],
      enabled: () => current.value !== null,
      run: () => (openPanel.value = openPanel.value === "background" ? "objects" : "background"),
    },
    {
      id: "background.download",
      title: "Download the cut-out as PNG",
      group: "Background",
      keys: ["Mod+Shift+G"],
      enabled: () => s.options.value !== null,
      run: () => download("png"),
    },
  );
}

function BackgroundPanel() {
  if (!current.value) return <p class="section muted">Open a picture to cut out its subject and change its background.</p>;
  return (
    <>
      <Subjects />
      <Behind />
      <Finish />
      <Files />
    </>
  );
}

function Section({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="section" aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Subjects() {
  const model = s.chosenModel.value;
  const chosen = selectedItems.value.length;
  return (
    <Section title="Cut out">
      <Choice
        label="What is cut out"
        value={s.subject}
        options={[
          { value: "subject", title: "Subject" },
          { value: "objects", title: "Selected objects" },
        ]}
        testid="background-subject"
      />
      {s.subject.value === "subject" ? (
        <>
          <label class="stack">
            <span class="muted">Model</span>
            <select
              class="field"
              data-testid="bg-model"
              value={model?.name ?? ""}
              disabled={!model}
              onChange={(event) => (s.matteModel.value = event.currentTarget.value)}
            >
              {s.matteModels.value.map((one) => (
                <option key={one.name} value={one.name}>
                  {one.name}
                  {terms(one) && ` (${terms(one)})`}
                </option>
              ))}
            </select>
          </label>
          {model && (
            <p class="muted small">
              {model.description}. Licence: {model.licence}
              <Terms model={model} />
            </p>
          )}
        </>
      ) : (
        <div class="row wrap small">
          <span class="muted grow">{chosen ? `${chosen} ${chosen === 1 ? "object" : "objects"} selected; their edges are refined.` : s.missing.value}</span>
          {chosen > 0 && (
            <button type="button" class="button" onClick={() => select([])}>
              Choose others
            </button>
          )}
          {doc.value.items.length > chosen && (
            <button
              type="button"
              class="button"
              onClick={() => select(doc.value.items.filter((item) => !item.hidden).map((item) => item.id))}
            >
              Select all
            </button>
          )}
        </div>
      )}
    </Section>
  );
}

function Behind() {
  const upload = (file: File | undefined) => file && s.chooseBackdrop(file).catch(fail);
  const back = s.backdrop.value;
  return (
    <Section title="Background">
      <fieldset class="plain" disabled={s.maskOnly.value}>
        <Choice
          label="Background"
          value={s.behind}
          options={[
            { value: "transparent", title: "None" },
            { value: "color", title: "Colour" },
            { value: "picture", title: "Picture" },
            { value: "blur", title: "Blur" },
          ]}
          testid="background-mode"
        />
        {s.behind.value === "color" && (
          <div class="bg-swatches" role="group" aria-label="Colours">
            {SWATCHES.map((swatch) => (
              <button
                key={swatch}
                type="button"
                class="bg-swatch"
                style={{ background: swatch }}
                aria-label={`Colour ${swatch}`}
                aria-pressed={s.color.value === swatch}
                onClick={() => (s.color.value = swatch)}
              />
            ))}
            <input
              type="color"
              class={SWATCHES.includes(s.color.value) ? "any" : "any chosen"}
              aria-label="Another colour"
              title="Another colour"
              value={s.color.value}
              data-testid="bg-color"
              onInput={(event) => (s.color.value = event.currentTarget.value)}
            />
          </div>
        )}
        {s.behind.value === "picture" && (
          <label class="button file">
            {back && <img class="backdrop" src={back.url} alt="" />}
            <span class="truncate">{back ? back.file.name : "Choose a picture…"}</span>
            <input type="file" accept="image/*,.heic,.avif,.tif,.tiff" data-testid="bg-picture" onChange={(event) => upload(event.currentTarget.files?.[0])} />
          </label>
        )}
      </fieldset>
      <Switch signal={s.maskOnly} title="Mask only, in grey" testid="bg-mask-only" />
    </Section>
  );
}

function Finish() {
  const finishes = s.finishes.value;
  return (
    <>
      <Section title="Edges">
        <label class="stack">
          <span class="hidden-text">Edges</span>
          <select class="field" data-testid="bg-edges" value={s.edges.value} onChange={(event) => (s.edges.value = event.currentTarget.value as s.Edges)}>
            <option value="fast">Fast: hair and fur in a moment</option>
            <option value="closed-form">Closed form: finer, slower</option>
            <option value="vitmatte" disabled={!s.canVitmatte.value}>
              {s.canVitmatte.value ? "ViTMatte: finest, slowest" : "ViTMatte (not on this server)"}
            </option>
            <option value="none">None: the mask as it is</option>
          </select>
        </label>
        <Switch signal={s.foreground} title="Clean edge colours" testid="bg-foreground" />
        <Switch signal={s.clean} title="Hard, smooth outline" testid="bg-clean" />
      </Section>
      <Section title="Frame and effects">
        <fieldset class="plain" disabled={!finishes}>
          <Switch signal={s.crop} title="Crop to the subject" testid="bg-crop" />
          {s.crop.value && <Slide signal={s.margin} title="Margin" min={0} max={30} unit=" %" />}
          <Choice
            label="Shape"
            value={s.pad}
            options={[
              { value: "", title: "As it is" },
              { value: "square", title: "Square" },
              { value: "4:5", title: "4:5" },
            ]}
            testid="bg-pad"
          />
          <fieldset class="plain" disabled={s.maskOnly.value}>
            <Switch signal={s.shadow} title="Shadow" testid="bg-shadow" />
            <div class="row">
              <Switch signal={s.outline} title="Outline" testid="bg-outline" />
              {s.outline.value && (
                <input type="color" class="push" aria-label="Colour of the outline" value={s.outlineColor.value} onInput={(event) => (s.outlineColor.value = event.currentTarget.value)} />
              )}
            </div>
            {s.outline.value && <Slide signal={s.outlineWidth} title="Width" min={0.5} max={8} step={0.5} unit=" %" />}
          </fieldset>
        </fieldset>
        {!finishes && <p class="muted small">A blurred background keeps the picture's frame, without effects.</p>}
      </Section>
    </>
  );
}

const FORMATS: { format: s.FileFormat; title: string }[] = [
  { format: "png", title: "PNG" },
  { format: "webp", title: "WebP" },
  { format: "jpg", title: "JPEG" },
];

function Files() {
  const able = s.options.value !== null && !making.value;
  const picture = current.value as Picture;
  return (
    <div class="section sticky-foot" role="group" aria-label="Download at full size">
      <div class="row">
        {FORMATS.map(({ format, title }) => (
          <button
            key={format}
            type="button"
            class={`button grow ${format === "png" ? "primary" : ""}`}
            disabled={!able}
            aria-busy={making.value === format}
            title={`Download ${s.fileName(picture, format)} at full size${format === "jpg" ? "; transparency becomes white" : ""}`}
            data-testid={format === "png" ? "bg-download" : `bg-download-${format}`}
            onClick={() => void download(format)}
          >
            {making.value === format ? <span class="spin" /> : format === "png" && <Download />}
            {title}
          </button>
        ))}
        <button
          type="button"
          class="button icon"
          disabled={!able || !canCopy}
          aria-label="Copy as PNG"
          title={canCopy ? "Copy as PNG" : "Copying needs https, or this machine's own address"}
          data-testid="bg-copy"
          onClick={() => void copy()}
        >
          {making.value === "copy" ? <span class="spin" /> : <Copy />}
        </button>
      </div>
    </div>
  );
}
