/** Background, projects, exchange and dialogs, put into the shell. */
import { installBackground } from "../panels/background";
import { installPictureExport } from "../panels/exchange/picture";
import { installProject } from "../panels/project";
import { installVideo } from "../panels/video";
import { installDialogs } from ".";

export function installPanels(): void {
  // First: while the video page has the canvas, its keys come before those for pictures.
  installVideo();
  // Before the core: while an item of a project is open, its keys for the next picture mean the next item.
  installProject();
  installBackground();
  installPictureExport();
  installDialogs();
}
