/** Puts the core's components into the shell and starts what runs by itself. */
import { addPanel, fill } from "./slots";
import { installCommands } from "./core-commands";
import { DropHint, listenToDrops } from "./drop";
import { ObjectsPanel } from "./panels/objects";
import { mirror, restore } from "./pictures/store";
import { start } from "./start";
import { showFound } from "./tools/everything";
import { answerPrompts } from "./tools/prompt";
import { BrushSize, History, ModelChoice, Name, OpenButtons, StatusLeft, StatusRight, ThemeButton, Tools } from "./ui/bars";
import { Arriving, Empty } from "./ui/empty";
import { EverythingBar } from "./ui/everything-bar";
import { PendingBar } from "./ui/pending-bar";
import { SignIn } from "./ui/signin";
import { Strip } from "./ui/strip";
import "./canvas/measure";
import "./ui/bars.css";
import "./ui/pages.css";
import "./panels/objects.css";

export function installCore(): void {
  installCommands();
  addPanel({ id: "objects", title: "Objects", component: ObjectsPanel, order: 10 });
  fill("top-left", "open", OpenButtons, 10);
  fill("top-left", "history", History, 20);
  fill("top", "name", Name, 10);
  fill("top-right", "model", ModelChoice, 10);
  fill("top-right", "theme", ThemeButton, 90);
  fill("tools", "tools", Tools, 10);
  fill("overlay", "arriving", Arriving, 10);
  fill("overlay", "brush-size", BrushSize, 20);
  fill("overlay", "pending", PendingBar, 30);
  fill("overlay", "everything", EverythingBar, 40);
  fill("empty", "invitation", Empty, 10);
  fill("strip", "strip", Strip, 10);
  fill("status-left", "core", StatusLeft, 10);
  fill("status-right", "core", StatusRight, 10);
  fill("floating", "drop", DropHint, 10);
  fill("floating", "signin", SignIn, 90);
  showFound();
  answerPrompts();
  listenToDrops();
  void start();
  void restore().then(mirror);
}
