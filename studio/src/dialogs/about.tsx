/** What this is, and under which terms its models may be used. */
import { models } from "../state";
import { Modal } from "./modal";

export function About() {
  return (
    <Modal name="about" title="About anymask" class="wide">
      {() => <Inside />}
    </Modal>
  );
}

function Inside() {
  const known = models.value;
  return (
    <div class="form">
      <p>
        anymask {known?.version ?? ""}: segmentation by prompts, everything in a picture, backgrounds, annotation. Apache-2.0.
      </p>
      <p class="muted">
        Everything here runs on your server. The page loads nothing from other hosts, needs no network, and sends your pictures to no one else.
      </p>
      {known && (
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
            {known.models.map((one) => (
              <tr key={one.name}>
                <td>
                  {one.name} <span class="muted small">{one.description}</span>
                </td>
                <td>{one.tasks.map((task) => ({ segment: "objects", matte: "backgrounds", trimap: "edges" })[task]).join(", ")}</td>
                <td>
                  {one.licence}
                  {!one.commercial && <span class="tag warn">non-commercial</span>}
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
