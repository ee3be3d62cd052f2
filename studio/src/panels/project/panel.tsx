/** The Project panel: choosing a project, its pictures, the way of working. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, type ProjectSummary } from "../../api";
import { Choice, Slide, Switch } from "../../dialogs/controls";
import { Back } from "../../dialogs/icons";
import { current, fail, models, pictures, say } from "../../state";
import { Folder, Plus, Upload } from "../../ui/icons";
import { Exchange } from "../exchange/project";
import { count } from "../exchange/save";
import { add, addBlobs, adding, cancelAdding } from "./adding";
import { automatic, cancelAutomatic, confidence, engine, ENGINES, fillIn, reviewing, runAutomatic } from "./engine";
import { SaveMark } from "./bar";
import { ItemList } from "./list";
import { closeProject, counts, elsewhere, filter, items, openItem, openProject, project, STATUS_WORDS, STATUSES, type Filter } from "./store";

export function ProjectPanel() {
  if (models.value && !models.value.projects) {
    return <p class="section muted">This server keeps no projects. Started with --projects FOLDER, it does.</p>;
  }
  return (
    <>
      {!openItem.value && elsewhere.value.length > 0 && (
        <div class="going">
          <SaveMark />
        </div>
      )}
      {project.value ? <OpenProject /> : <Projects />}
    </>
  );
}

const list = signal<ProjectSummary[] | null>(null);
const newName = signal("");

async function load(): Promise<void> {
  try {
    list.value = (await api.projects.list()).projects;
  } catch (error) {
    fail(error);
  }
}

function Projects() {
  useEffect(() => void load(), []);
  const create = async (event: Event) => {
    event.preventDefault();
    const name = newName.value.trim();
    if (!name) return;
    try {
      await api.projects.create(name);
      newName.value = "";
      await openProject(name);
      say(`Created the project ${name}.`);
    } catch (error) {
      fail(error);
    }
  };
  return (
    <>
      <form class="section" onSubmit={create}>
        <p class="muted">A project keeps pictures and their objects on the server, saved with every change.</p>
        <div class="row">
          <input
            class="field"
            placeholder="Name of a new project"
            aria-label="Name of a new project"
            maxLength={100}
            value={newName.value}
            data-testid="project-name"
            onInput={(event) => (newName.value = event.currentTarget.value)}
          />
          <button type="submit" class="button primary" disabled={!newName.value.trim()} data-testid="project-create">
            <Plus />
            Create
          </button>
        </div>
      </form>
      <section class="section" aria-label="Projects">
        {list.value === null ? (
          <p class="muted">Asking the server…</p>
        ) : list.value.length ? (
          <ul class="projects">
            {list.value.map((one) => (
              <li key={one.name}>
                <button type="button" class="project-row" data-testid={`project-open-${one.name}`} onClick={() => openProject(one.name).catch(fail)}>
                  <Folder />
                  <span class="grow truncate">{one.name}</span>
                  <span class="muted small numbers">
                    {one.done} of {one.pictures} done
                  </span>
                </button>
              </li>
            ))}
          </ul>
        ) : (
          <p class="muted">There are no projects yet.</p>
        )}
      </section>
    </>
  );
}

function OpenProject() {
  const name = project.value!.name;
  const { all, done, reviewed } = counts.value;
  return (
    <>
      <header class="project-head">
        <button
          type="button"
          class="button icon quiet"
          aria-label="Close the project"
          title="Close the project"
          data-testid="project-close"
          onClick={() => {
            closeProject();
            history.replaceState(null, "", location.pathname + location.search);
          }}
        >
          <Back />
        </button>
        <h1 class="grow truncate" data-testid="project-title">
          {name}
        </h1>
        <Add />
      </header>
      {all > 0 && (
        <div class="project-progress">
          <progress max={all} value={done + reviewed} aria-label="Pictures that are done" />
          <span class="muted small numbers" data-testid="project-progress">
            {done + reviewed} of {all} done{reviewed ? `, ${reviewed} reviewed` : ""}
          </span>
        </div>
      )}
      <Going />
      {all > 0 ? (
        <>
          <Filters />
          <ItemList />
        </>
      ) : (
        !adding.value && <p class="section muted grow">No pictures yet. Add files or a folder, or drop them here.</p>
      )}
      <Engines />
      <Exchange />
    </>
  );
}

function Add() {
  const files = (event: Event & { currentTarget: HTMLInputElement }) => {
    add([...(event.currentTarget.files ?? [])]);
    event.currentTarget.value = "";
  };
  const free = pictures.value.filter((picture) => picture.file && !picture.tag.project);
  return (
    <>
      {free.length > 0 && (
        <button
          type="button"
          class="button"
          title="Add the pictures that are open to the project"
          data-testid="project-add-open"
          onClick={() => addBlobs(free.map((picture) => ({ name: picture.name, file: picture.file! })))}
        >
          + {free.length} open
        </button>
      )}
      <label class="button icon file" title="Add a folder">
        <Folder />
        <input type="file" multiple {...{ webkitdirectory: true }} aria-label="Add a folder" data-testid="project-add-folder" onChange={files} />
      </label>
      <label class="button icon file" title="Add pictures">
        <Plus />
        <input type="file" multiple accept="image/*,.heic,.avif,.tif,.tiff" aria-label="Add pictures" data-testid="project-add" onChange={files} />
      </label>
    </>
  );
}

/** Uploads and the automatic run, while they go on. */
function Going() {
  const up = adding.value;
  const auto = automatic.value;
  return (
    <>
      {up && (
        <div class="going" role="group" aria-label="Adding pictures" data-testid="project-adding">
          <span class="row">
            <Upload />
            <span class="grow numbers">
              {up.waiting ? "Waiting for the server; " : ""}
              {up.done} of {up.total} added{up.failed.length ? `, ${up.failed.length} refused` : ""}
            </span>
            <button type="button" class="button quiet" onClick={cancelAdding}>
              Cancel
            </button>
          </span>
          <progress max={up.total} value={up.done} aria-label="Pictures added" />
        </div>
      )}
      {auto && (
        <div class="going" role="group" aria-label="Automatic run" data-testid="automatic-progress">
          <span class="row">
            <span class="spin" />
            <span class="grow truncate numbers">
              {auto.done} of {auto.total}, {count(auto.objects)}
              {auto.name ? ` · ${auto.name}` : ""}
            </span>
            <button type="button" class="button quiet" data-testid="automatic-cancel" onClick={cancelAutomatic}>
              Cancel
            </button>
          </span>
          <progress max={auto.total || 1} value={auto.done + auto.part} aria-label="Pictures looked through" />
        </div>
      )}
    </>
  );
}

function Filters() {
  return (
    <div class="row filters">
      <select
        class="field"
        aria-label="Which pictures are shown"
        data-testid="project-filter"
        value={filter.value}
        onChange={(event) => (filter.value = event.currentTarget.value as Filter)}
      >
        <option value="all">All pictures ({counts.value.all})</option>
        {STATUSES.map((status) => (
          <option key={status} value={status}>
            {STATUS_WORDS[status]} ({counts.value[status]})
          </option>
        ))}
      </select>
      <Switch signal={reviewing} title="Review" testid="project-review" />
    </div>
  );
}

function Engines() {
  const chosen = ENGINES.find((one) => one.value === engine.value)!;
  const item = openItem.value;
  return (
    <details class="fold" open={items.value.length > 0 && items.value.length < 500}>
      <summary>Way of working</summary>
      <div class="fold-inside">
        <Choice label="Way of working" value={engine} options={ENGINES} testid="engine" />
        <p class="muted small">{chosen.line}</p>
        {engine.value === "semi" && (
          <>
            <Slide signal={confidence} title="Confidence" min={0} max={1} step={0.01} text={(value) => `${Math.round(value * 100)} %`} testid="engine-confidence" />
            <button type="button" class="button" disabled={!item || current.value !== item.picture} data-testid="engine-fill" onClick={() => item && void fillIn(item)}>
              Fill in this picture
            </button>
          </>
        )}
        {engine.value === "automatic" && (
          <button type="button" class="button primary" disabled={!!automatic.value || !counts.value.new} data-testid="engine-run" onClick={() => void runAutomatic()}>
            {counts.value.new ? `Find everything in ${count(counts.value.new, "picture")}` : "All pictures are begun"}
          </button>
        )}
      </div>
    </details>
  );
}
