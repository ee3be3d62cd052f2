/** Background, projects, exchange and dialogs, put into the shell. */
import { installBackground } from "../panels/background";
import { installPictureExport } from "../panels/exchange/picture";
import { installDialogs } from ".";

export function installPanels(): void {
  installBackground();
  installPictureExport();
  installDialogs();
}
