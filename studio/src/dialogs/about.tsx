/** What this is, and under which terms its models may be used. */
import { signal } from "@preact/signals";
import type { ModelInfo } from "../api";
import { models } from "../state";
import { Terms, terms } from "../ui/terms";
import { Modal } from "./modal";

export function About() {
  return (
    <Modal name="about" title="About anymask" class="wide">
      {() => <Inside />}
    </Modal>
  );
}

const FILTERS = [
  { value: "all", title: "All models" },
  { value: "", title: "For commercial use, in closed programs too" },
  { value: "copyleft", title: "Copyleft: for commercial use in open programs" },
  { value: "non-commercial", title: "Not for commercial use" },
] as const;

const filter = signal<(typeof FILTERS)[number]["value"]>("all");

function uses(model: ModelInfo): string[] {
  const words = { segment: "objects", matte: "backgrounds", trimap: "edges" };
  return [...model.tasks.map((task) => words[task]), ...(model.tracks ? ["video"] : [])];
}

function Inside() {
  const known = models.value;
  const shown = known?.models.filter((one) => filter.value === "all" || terms(one) === filter.value) ?? [];
  return (
    <div class="form">
      <p>
        anymask {known?.version ?? ""}: segmentation by prompts, everything in a picture, objects through videos, backgrounds, annotation. Apache-2.0.
      </p>
      <p class="muted">
        Everything here runs on your server. The page loads nothing from other hosts, needs no network, and sends your pictures to no one else.
      </p>
      {known && (
        <select
          class="field"
          aria-label="Which models are listed"
          value={filter.value}
          onChange={(event) => (filter.value = event.currentTarget.value as typeof filter.value)}
          data-testid="about-filter"
        >
          {FILTERS.map((one) => (
            <option key={one.value} value={one.value}>
              {one.title}
            </option>
          ))}
        </select>
      )}
      {known && !shown.length && <p class="muted">This server has no such model.</p>}
      {shown.length > 0 && (
        <table class="licences">
          <caption class="hidden-text">Models of this server and their licences</caption>
          <thead>
            <tr>
              <th>Model</th>
              <th>For</th>
              <th>Licence</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((one) => (
              <tr key={one.name}>
                <td>
                  {one.name} <span class="muted small">{one.description}</span>
                </td>
                <td>{uses(one).join(", ")}</td>
                <td>
                  {one.licence}
                  <Terms model={one} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <p class="muted small">
        For programs: <a href="./docs" target="_blank" rel="noopener">the HTTP API</a>. Made with the work of others:{" "}
        <a href="./licenses.txt" target="_blank" rel="noopener">their licences</a>.
      </p>
    </div>
  );
}
