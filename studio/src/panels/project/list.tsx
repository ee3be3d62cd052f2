/** The project's pictures. Only the rows in sight are in the page, so that thousands scroll smoothly. */
import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ProjectItem } from "../../api";
import { fail } from "../../state";
import { Check, Trash } from "../../ui/icons";
import { Warning } from "../../dialogs/icons";
import { items, open, openItem, opening, project, remove, shownItems, STATUS_WORDS } from "./store";
import { thumbnail, want } from "./thumbs";

export const ROW = 52;
const MORE = 4;
/** The row that the keys move; the open one until they do. */
const active = signal<string | null>(null);

export function ItemList() {
  const element = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState({ top: 0, height: 600 });
  const all = shownItems.value;
  const here = active.value ?? openItem.value?.name ?? null;
  const at = all.findIndex((item) => item.name === here);

  useLayoutEffect(() => {
    const list = element.current!;
    const measure = () => setRange({ top: list.scrollTop, height: list.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(list);
    list.addEventListener("scroll", measure, { passive: true });
    measure();
    return () => {
      observer.disconnect();
      list.removeEventListener("scroll", measure);
    };
  }, []);

  useEffect(() => {
    active.value = null;
  }, [openItem.value?.name]);

  useLayoutEffect(() => {
    const list = element.current!;
    if (at < 0) return;
    if (at * ROW < list.scrollTop) list.scrollTop = at * ROW;
    else if ((at + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (at + 1) * ROW - list.clientHeight;
  }, [at]);

  const onKey = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(range.height / ROW) - 1);
    const last = all.length - 1;
    const moves: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, PageDown: at + page, PageUp: at - page };
    if (event.key in moves && last >= 0 && !event.ctrlKey && !event.metaKey) {
      active.value = all[Math.min(last, Math.max(0, moves[event.key]))].name;
      event.preventDefault();
    } else if (event.key === "Enter" && here) {
      open(here).catch(fail);
      event.preventDefault();
    } else if (event.key === "Delete" && at >= 0) {
      askRemove(all[at]);
      event.preventDefault();
    }
  };

  const from = Math.max(0, Math.floor(range.top / ROW) - MORE);
  const to = Math.min(all.length, Math.ceil((range.top + range.height) / ROW) + MORE);
  return (
    <div
      ref={element}
      class="items"
      role="listbox"
      tabIndex={0}
      aria-label="Pictures of the project"
      aria-activedescendant={at >= from && at < to ? `item-${at}` : undefined}
      data-testid="project-items"
      onKeyDown={onKey}
    >
      <div class="items-space" style={{ height: `${all.length * ROW}px` }}>
        {all.slice(from, to).map((item, index) => (
          <Row key={item.name} item={item} at={from + index} total={all.length} active={item.name === here} />
        ))}
      </div>
      {!all.length && items.value.length > 0 && <p class="section muted">No picture has this status.</p>}
    </div>
  );
}

/** Removes an item; one with objects only after asking. */
function askRemove(item: ProjectItem): void {
  if (!item.objects || window.confirm(`Remove ${item.name} and its ${item.objects} objects from the project?`)) remove(item.name).catch(fail);
}

function Row({ item, at, total, active: isActive }: { item: ProjectItem; at: number; total: number; active: boolean }) {
  const isOpen = openItem.value?.name === item.name;
  return (
    <div
      id={`item-${at}`}
      role="option"
      aria-selected={isOpen}
      aria-posinset={at + 1}
      aria-setsize={total}
      class={`item ${isOpen ? "open" : ""} ${isActive ? "active" : ""}`}
      style={{ top: `${at * ROW}px` }}
      data-testid={`project-item-${item.name}`}
      data-status={item.status}
      title={item.error ?? item.name}
      onClick={() => open(item.name).catch(fail)}
    >
      <Thumbnail name={item.name} />
      <div class="grow">
        <div class="truncate">{item.name}</div>
        <div class="muted small numbers">
          {item.error ? "cannot be used" : item.objects === 1 ? "1 object" : `${item.objects} objects`}
        </div>
      </div>
      {opening.value === item.name ? <span class="spin" /> : item.error ? <Warning /> : <Badge item={item} />}
      {/* For pointers; the keyboard has Delete. A button in an option could not be reached by screen readers. */}
      <span
        class="button icon quiet away"
        aria-hidden="true"
        title="Remove from the project (Delete)"
        onClick={(event) => {
          event.stopPropagation();
          askRemove(item);
        }}
      >
        <Trash />
      </span>
    </div>
  );
}

function Badge({ item }: { item: ProjectItem }) {
  return (
    <span class={`status-badge ${item.status}`}>
      {(item.status === "done" || item.status === "reviewed") && <Check />}
      {STATUS_WORDS[item.status]}
    </span>
  );
}

function Thumbnail({ name }: { name: string }) {
  const of = project.value?.name ?? "";
  const [url, setUrl] = useState(() => thumbnail(of, name));
  useEffect(() => {
    const known = thumbnail(of, name);
    if (known) return setUrl(known);
    return want(of, name, setUrl);
  }, [of, name]);
  return <span class="thumb">{url && <img src={url} alt="" draggable={false} decoding="async" />}</span>;
}
