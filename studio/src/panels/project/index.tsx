/** Annotating folders of pictures: the panel, the bar of the open item, commands. */
import { effect } from "@preact/signals";
import { register } from "../../commands";
import { fileHandlers, mayBePicture } from "../../pictures/open";
import { addPanel, fill, filming, openPanel } from "../../slots";
import { current, models, selectedItems } from "../../state";
import { importFile, isArchive, ReportDialog } from "../exchange/project";
import { add } from "./adding";
import { ItemBar } from "./bar";
import { ConflictDialog, watchConflicts } from "./conflict";
import { confirm, reviewing, watchEngine } from "./engine";
import { startHash } from "./hash";
import { ProjectPanel } from "./panel";
import "./project.css";
import { isUnconfirmed } from "./records";
import { go, isUndone, items, neighbour, nextUndone, openItem, project, setStatus, status, unconfirmed, watchItems } from "./store";

const working = () => openItem.value !== null && current.value === openItem.value.picture;
const some = () => !filming.value && items.value.length > 0;

function Floating() {
  return (
    <>
      <ConflictDialog />
      <ReportDialog />
    </>
  );
}

export function installProject(): void {
  addPanel({ id: "project", title: "Project", component: ProjectPanel, order: 30 });
  fill("strip", "project-item", ItemBar, 5);
  fill("floating", "project", Floating, 70);
  watchItems();
  watchEngine();
  watchConflicts();
  fileHandlers.push(takeFiles);
  register(
    { id: "project.show", title: "Show the project", group: "Project", keys: ["Shift+P"], run: () => (openPanel.value = "project") },
    { id: "project.next", title: "Next item", group: "Project", keys: ["PageDown", "."], enabled: () => working() && neighbour(1) !== null, run: () => go(neighbour(1), "") },
    { id: "project.previous", title: "Previous item", group: "Project", keys: ["PageUp", ","], enabled: () => working() && neighbour(-1) !== null, run: () => go(neighbour(-1), "") },
    { id: "project.next-undone", title: "Next item that is not done", group: "Project", keys: ["U"], enabled: some, run: () => go(nextUndone(), "All pictures are done.") },
    { id: "project.done", title: "Mark the item done, or not done", group: "Project", keys: ["D"], enabled: working, run: toggleDone },
    { id: "project.confirm", title: "Confirm the selected objects", group: "Project", keys: ["Shift+Enter"], enabled: () => working() && selectedItems.value.some(isUnconfirmed), run: () => confirm(false) },
    { id: "project.confirm-all", title: "Confirm all objects", group: "Project", keys: ["Mod+Enter"], enabled: () => working() && unconfirmed.value > 0, run: () => confirm(true) },
    { id: "project.accept", title: "Review: accept, and go on", group: "Project", keys: ["Y"], enabled: () => working() && reviewing.value, run: () => review("reviewed") },
    { id: "project.send-back", title: "Review: send back, and go on", group: "Project", keys: ["X"], enabled: () => working() && reviewing.value, run: () => review("started") },
  );
  // The models are known once the pictures of the last visit are back and the server lets us in.
  const stop = effect(() => {
    if (!models.value) return;
    queueMicrotask(() => stop());
    void startHash();
  });
}

function toggleDone(): void {
  const undone = status.value === "new" || status.value === "started";
  setStatus(undone ? "done" : "started");
}

/** Accepting means having seen everything: what waited is confirmed with it. */
function review(verdict: "reviewed" | "started"): void {
  const next = neighbour(1, (item) => item.status !== "reviewed" && item.objects > 0) ?? neighbour(1, (item) => item.status !== "reviewed");
  if (verdict === "reviewed") {
    if (unconfirmed.value) confirm(true);
    setStatus("reviewed");
  } else setStatus("started");
  go(next, items.value.some(isUndone) ? "That was the last one in this direction." : "All pictures are reviewed or done.");
}

/** Files that are dropped while the project is shown go into it. */
async function takeFiles(files: File[]): Promise<boolean> {
  if (!project.value || openPanel.value !== "project") return false;
  const archives = files.filter(isArchive);
  const images = files.filter(mayBePicture);
  if (!archives.length && !images.length) return false;
  if (images.length) add(images);
  for (const file of archives) await importFile(file);
  return true;
}
