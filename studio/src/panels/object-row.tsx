/** One object of the list. */
import { useLayoutEffect, useState } from "preact/hooks";
import type { Item } from "../doc";
import { hoveredItem, pending, selection } from "../state";
import { NameField } from "../ui/combobox";
import { Eye, EyeOff, Lock, Unlock } from "../ui/icons";
import { naming } from "../ui/names";
import { pick, pickRange, recolor, rename, setHidden, setLocked, step } from "../tools/objects";
import { run } from "../commands";
import { dropAt } from "./objects";

/** A row's height in CSS pixels. */
export const ROW = 40;

const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function ObjectRow({ item, index }: { item: Item; index: number }) {
  const selected = selection.value.has(item.id);
  const asked = naming.value?.id === item.id ? naming.value.time : 0;
  const [editing, setEditing] = useState(0);
  useLayoutEffect(() => {
    if (asked) setEditing(asked);
  }, [asked]);
  const title = item.name || `Object ${item.id}`;
  const only = new Set([item.id]);

  const onClick = (event: MouseEvent) => {
    if (event.shiftKey) pickRange(item);
    else pick(item, event.ctrlKey || event.metaKey);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (event.altKey) return;
      step(event.key === "ArrowDown" ? 1 : -1);
      requestAnimationFrame(() => document.querySelector<HTMLElement>('.object[aria-selected="true"]')?.focus());
    } else if (event.key === " ") pick(item, event.ctrlKey || event.shiftKey);
    else if (event.key === "Enter") run("objects.edit");
    else return;
    event.preventDefault();
  };
  return (
    <div
      class={`object ${selected ? "selected" : ""} ${item.hidden ? "off" : ""} ${hoveredItem.value === item.id ? "hovered" : ""} ${pending.value?.edits === item.id ? "editing" : ""}`}
      style={{ top: `${index * ROW}px`, height: `${ROW}px` }}
      role="row"
      aria-selected={selected}
      aria-rowindex={index + 1}
      aria-label={`${title}, ${item.area.toLocaleString("en")} pixels${item.hidden ? ", hidden" : ""}${item.locked ? ", locked" : ""}`}
      tabIndex={selected || index === 0 ? 0 : -1}
      data-testid={`object-${item.id}`}
      draggable={!editing}
      onClick={onClick}
      onDblClick={() => (setEditing(performance.now()), undefined)}
      onKeyDown={onKey}
      onPointerEnter={() => (hoveredItem.value = item.id)}
      onPointerLeave={() => (hoveredItem.value = null)}
      onDragStart={(event) => {
        const ids = selected ? [...selection.value] : [item.id];
        event.dataTransfer!.setData("application/x-anymask-objects", JSON.stringify(ids));
        event.dataTransfer!.effectAllowed = "move";
      }}
      onDragEnd={() => (dropAt.value = null)}
    >
      <span role="gridcell" class="cell">
        <label class="swatch" style={{ background: item.color }} title="Change the colour" onClick={(event) => event.stopPropagation()}>
          <input
            type="color"
            aria-label={`Colour of ${title}`}
            tabIndex={selected ? 0 : -1}
            value={item.color}
            onInput={(event) => recolor(item.id, event.currentTarget.value)}
          />
        </label>
      </span>
      <span role="gridcell" class="cell grow">
        {editing ? (
          <NameField
            class="grow"
            value={item.name}
            label={`Name of object ${item.id}`}
            placeholder={`Object ${item.id}`}
            testid="rename"
            focus={editing}
            onCommit={(name) => {
              rename(item.id, name);
              setEditing(0);
            }}
            onCancel={() => setEditing(0)}
            onEnter={() => setEditing(0)}
          />
        ) : (
          <span class={`grow truncate ${item.name ? "" : "muted"}`} title={title}>
            {title}
          </span>
        )}
      </span>
      {!editing && (
        <span
          role="gridcell"
          class="facts numbers muted"
          title={`${item.area.toLocaleString("en")} pixels${item.score !== undefined ? `, score ${item.score.toFixed(3)}` : ""}`}
        >
          {short.format(item.area)}
          {item.score !== undefined && <> · {item.score.toFixed(2)}</>}
        </span>
      )}
      <span role="gridcell" class="cell">
        <button
          type="button"
          class={`button icon quiet ${item.locked ? "on" : "faint"}`}
          aria-pressed={item.locked ?? false}
          aria-label={`${item.locked ? "Unlock" : "Lock"} ${title}`}
          title={item.locked ? "Unlock" : "Lock"}
          tabIndex={selected ? 0 : -1}
          onClick={(event) => {
            event.stopPropagation();
            setLocked(selected ? selection.value : only, !item.locked);
          }}
        >
          {item.locked ? <Lock /> : <Unlock />}
        </button>
        <button
          type="button"
          class={`button icon quiet ${item.hidden ? "on" : "faint"}`}
          aria-pressed={item.hidden ?? false}
          aria-label={`${item.hidden ? "Show" : "Hide"} ${title}`}
          title={item.hidden ? "Show" : "Hide"}
          tabIndex={selected ? 0 : -1}
          onClick={(event) => {
            event.stopPropagation();
            setHidden(selected ? selection.value : only, !item.hidden);
          }}
        >
          {item.hidden ? <EyeOff /> : <Eye />}
        </button>
      </span>
    </div>
  );
}
