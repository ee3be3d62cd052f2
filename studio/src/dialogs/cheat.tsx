/** The cheat sheet, made of the commands there are at the moment. */
import { signal } from "@preact/signals";
import { commands, keyText, registered, type Command } from "../commands";
import { Modal } from "./modal";

const wanted = signal("");

/** The parts of a picture's work first, then what is around it; groups that are not named here come in between. */
const LAST = ["Background", "Files", "Pictures", "Project", "Video", "View", "Keyboard pointing", "Help"];
const rank = (group: string) => LAST.indexOf(group) + 1;

export function CheatSheet() {
  return (
    <Modal name="cheat-sheet" title="Keys and commands" class="wide" onClose={() => (wanted.value = "")}>
      {() => <Sheet />}
    </Modal>
  );
}

function Sheet() {
  registered.value;
  const word = wanted.value.trim().toLowerCase();
  const groups = new Map<string, Command[]>();
  for (const command of commands()) {
    if (command.hidden || !command.keys?.length) continue;
    const text = `${command.group} ${command.title} ${command.keys.map(keyText).join(" ")}`.toLowerCase();
    if (word && !text.includes(word)) continue;
    groups.set(command.group, [...(groups.get(command.group) ?? []), command]);
  }
  const order = [...groups].sort(([a], [b]) => rank(a) - rank(b));
  return (
    <>
      <input
        class="field"
        type="search"
        autoFocus
        placeholder="Search the commands"
        aria-label="Search the commands"
        value={wanted.value}
        onInput={(event) => (wanted.value = event.currentTarget.value)}
      />
      <div class="cheat" tabIndex={0} role="region" aria-label="Commands">
        {order.map(([group, list]) => (
          <section key={group}>
            <h2>{group}</h2>
            <dl>
              {list.map((command) => (
                <div key={command.id}>
                  <dt>{command.title}</dt>
                  <dd>
                    {command.keys!.slice(0, 2).map((key) => (
                      <kbd key={key}>{keyText(key)}</kbd>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        {!groups.size && <p class="muted">No command has this in its name.</p>}
      </div>
    </>
  );
}
