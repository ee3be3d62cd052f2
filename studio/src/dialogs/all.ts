/** Background, projects, exchange and dialogs, put into the shell. */
import { installBackground } from "../panels/background";
import { installPictureExport } from "../panels/exchange/picture";
import { installProject } from "../panels/project";
import { installDialogs } from ".";

export function installPanels(): void {
  // Before the core: while an item of a project is open, its keys for the next picture mean the next item.
  installProject();
  installBackground();
  installPictureExport();
  installDialogs();
}
