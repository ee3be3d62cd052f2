/** Puts the parts together. */
import { render } from "preact";
import "./theme.css";
import "./shell.css";
import "./theme";
import { listen } from "./commands";
import { installCore } from "./core";
import { installPanels } from "./dialogs/all";
import { Shell } from "./shell";

installPanels();
installCore();

listen();
render(<Shell />, document.getElementById("studio")!);
