/** #/project/NAME/ITEM: a reload or a link opens the same item again. */
import { effect } from "@preact/signals";
import { openPanel } from "../../slots";
import { current, fail } from "../../state";
import { adopt } from "./draft";
import { closeProject, open, openItem, openProject, project } from "./store";

function parse(): { project: string; item: string | null } | null {
  const match = /^#\/project\/([^/]+)(?:\/([^/]+))?$/.exec(location.hash);
  try {
    return match && { project: decodeURIComponent(match[1]), item: match[2] ? decodeURIComponent(match[2]) : null };
  } catch {
    return null;
  }
}

function written(): string {
  const of = project.value;
  if (!of) return "";
  const item = openItem.value;
  return `#/project/${encodeURIComponent(of.name)}${item ? `/${encodeURIComponent(item.name)}` : ""}`;
}

async function follow(): Promise<void> {
  const place = parse();
  if (!place) return;
  openPanel.value = "project";
  await openProject(place.project);
  if (place.item) await open(place.item);
}

/** Opens what the address says, then keeps the address true. Call it after pictures of the last visit are restored. */
export async function startHash(): Promise<void> {
  await adopt();
  await follow().catch(fail);
  effect(() => {
    const hash = written();
    // The address is the item's only while it is the one on the canvas.
    const onCanvas = !openItem.value || current.value === openItem.value.picture;
    if (!onCanvas || hash === location.hash || (!hash && !parse())) return;
    history.replaceState(null, "", hash || location.pathname + location.search);
  });
  addEventListener("hashchange", () => {
    if (location.hash === written()) return;
    if (parse()) follow().catch(fail);
    else if (project.peek()) closeProject();
  });
}
