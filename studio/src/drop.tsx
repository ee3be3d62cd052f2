/** Pictures that are dropped on the page or pasted into it. */
import { signal } from "@preact/signals";
import { droppedFiles, openFiles } from "./pictures/open";
import { fail } from "./state";

const over = signal(false);

export function listenToDrops(): void {
  let depth = 0;
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth++;
    over.value = true;
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    over.value = depth > 0;
  });
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer!.dropEffect = "copy";
  });
  addEventListener("drop", (event) => {
    depth = 0;
    over.value = false;
    if (!hasFiles(event) || event.defaultPrevented) return;
    event.preventDefault();
    droppedFiles(event.dataTransfer!).then(openFiles).catch(fail);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    openFiles(files).catch(fail);
  });
}

export function DropHint() {
  if (!over.value) return null;
  return (
    <div class="drop-hint" aria-hidden="true">
      Drop to open
    </div>
  );
}
