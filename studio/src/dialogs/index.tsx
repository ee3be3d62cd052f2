/** The dialogs and their commands. */
import { register } from "../commands";
import { fill } from "../slots";
import { Help } from "../ui/icons";
import { CommandButton } from "../ui/controls";
import { About } from "./about";
import { CheatSheet } from "./cheat";
import "./controls.css";
import "./dialogs.css";
import { Gear, Info } from "./icons";
import { opened } from "./modal";
import { restoreSettings, Settings } from "./settings";

function Dialogs() {
  return (
    <>
      <CheatSheet />
      <Settings />
      <About />
    </>
  );
}

export function installDialogs(): void {
  restoreSettings();
  fill("floating", "dialogs", Dialogs, 90);
  fill("top-right", "settings", () => <CommandButton id="help.settings" icon={Gear} />, 80);
  fill("top-right", "about", () => <CommandButton id="help.about" icon={Info} class="quiet wide-only" />, 85);
  fill("top-right", "cheat-sheet", () => <CommandButton id="help.keys" icon={Help} />, 90);
  register(
    { id: "help.keys", title: "Show all keys and commands", group: "Help", keys: ["?", "F1"], run: () => (opened.value = "cheat-sheet") },
    { id: "help.settings", title: "Settings", group: "Help", keys: ["Mod+,"], run: () => (opened.value = "settings") },
    { id: "help.about", title: "About anymask", group: "Help", run: () => (opened.value = "about") },
  );
}
