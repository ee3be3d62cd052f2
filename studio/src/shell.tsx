/** The page's frame. What stands in it comes from the slots and panels (slots.ts). */
import { signal } from "@preact/signals";
import { current, said } from "./state";
import { inSlot, openPanel, panels, type SlotName } from "./slots";
import { Canvas } from "./canvas/canvas";
import { Toasts } from "./ui/toasts";
import { Chevron } from "./ui/icons";

/** On small screens: the sheet with the panels is up. */
export const sheetOpen = signal(false);

export function Slot({ name }: { name: SlotName }) {
  return (
    <>
      {inSlot(name).map(({ id, component: Component }) => (
        <Component key={id} />
      ))}
    </>
  );
}

function Panels() {
  const shown = panels.value.some((panel) => panel.id === openPanel.value) ? openPanel.value : panels.value[0]?.id;
  const go = (id: string) => {
    openPanel.value = id;
    sheetOpen.value = true;
  };
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const all = panels.value;
    const next = all[(all.findIndex((panel) => panel.id === shown) + step + all.length) % all.length];
    go(next.id);
    document.getElementById(`tab-${next.id}`)?.focus();
    event.preventDefault();
  };
  return (
    <aside class={`panel ${sheetOpen.value ? "open" : ""}`} aria-label="Panels">
      <div class="tabs">
        <div class="tab-list" role="tablist" onKeyDown={onKey}>
          {panels.value.map((panel) => (
            <button
              key={panel.id}
              type="button"
              role="tab"
              id={`tab-${panel.id}`}
              data-testid={`tab-${panel.id}`}
              aria-selected={panel.id === shown}
              aria-controls={`panel-${panel.id}`}
              tabIndex={panel.id === shown ? 0 : -1}
              onClick={() => go(panel.id)}
            >
              {panel.title}
            </button>
          ))}
        </div>
        <button
          type="button"
          class="button icon quiet handle"
          aria-expanded={sheetOpen.value}
          aria-label={sheetOpen.value ? "Lower the panel" : "Raise the panel"}
          onClick={() => (sheetOpen.value = !sheetOpen.value)}
          style={{ transform: sheetOpen.value ? "" : "rotate(180deg)" }}
        >
          <Chevron />
        </button>
      </div>
      {panels.value.map(({ id, component: Component }) => (
        <div key={id} role="tabpanel" id={`panel-${id}`} aria-labelledby={`tab-${id}`} hidden={id !== shown}>
          {id === shown && <Component />}
        </div>
      ))}
    </aside>
  );
}

export function Shell() {
  return (
    <div class="shell">
      <header class="top">
        <h1 class="brand">
          <img src="./icon.svg" alt="" />
          <span class="name">anymask</span>
        </h1>
        <Slot name="top-left" />
        <div class="middle">
          <Slot name="top" />
        </div>
        <Slot name="top-right" />
      </header>
      <nav class="tools" aria-label="Tools">
        <Slot name="tools" />
      </nav>
      <main class="stage">
        <div class="picture-area" data-testid="picture-area">
          <Canvas />
          <div class="overlay">
            <Slot name="overlay" />
            {!current.value && <Slot name="empty" />}
          </div>
        </div>
        <Slot name="strip" />
      </main>
      <Panels />
      <footer class="status">
        <Slot name="status-left" />
        <span class="said truncate" role="status" aria-live="polite" data-testid="status">
          {said.value}
        </span>
        <Slot name="status-right" />
      </footer>
      <Slot name="floating" />
      <Toasts />
    </div>
  );
}
