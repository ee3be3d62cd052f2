/** Puts the parts together. */
import { render } from "preact";
import "./theme.css";
import "./shell.css";
import "./theme";
import { listen } from "./commands";
import { addPanel } from "./slots";
import { Shell } from "./shell";

addPanel({ id: "objects", title: "Objects", component: () => <div />, order: 10 });

listen();
render(<Shell />, document.getElementById("studio")!);
