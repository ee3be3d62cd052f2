/** The list of objects. Only the rows that are seen are in the page, so that hundreds cost nothing. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { current, doc, pending, selectedItems, selection } from "../state";
import { isEnabled } from "../commands";
import { CommandButton } from "../ui/controls";
import { Edit, Everything, Merge, Trash } from "../ui/icons";
import { naming } from "../ui/names";
import { moveBefore } from "../tools/objects";
import { ObjectRow, ROW } from "./object-row";

/** Where a dragged row would go: before this place of the list. */
export const dropAt = signal<number | null>(null);

export function ObjectsPanel() {
  const items = doc.value.items;
  const list = useRef<HTMLDivElement>(null);
  const [window_, setWindow] = useState({ top: 0, height: 600 });

  useLayoutEffect(() => {
    const element = list.current!;
    const measure = () => setWindow({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);

  // What is selected in the picture is brought into sight.
  const first = selectedItems.value[0]?.id ?? naming.value?.id;
  useLayoutEffect(() => {
    const element = list.current!;
    const at = items.findIndex((item) => item.id === first);
    if (at < 0) return;
    if (at * ROW < element.scrollTop) element.scrollTop = at * ROW - ROW;
    else if ((at + 1) * ROW > element.scrollTop + element.clientHeight) element.scrollTop = (at + 2) * ROW - element.clientHeight;
  }, [first, items.length]);

  const from = Math.max(0, Math.floor(window_.top / ROW) - 4);
  const to = Math.min(items.length, Math.ceil((window_.top + window_.height) / ROW) + 4);

  const onDragOver = (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes("application/x-anymask-objects")) return;
    event.preventDefault();
    const box = list.current!.getBoundingClientRect();
    dropAt.value = Math.min(items.length, Math.max(0, Math.round((event.clientY - box.top + list.current!.scrollTop) / ROW)));
  };
  const onDrop = (event: DragEvent) => {
    if (dropAt.value === null) return;
    event.preventDefault();
    event.stopPropagation();
    const ids = new Set(JSON.parse(event.dataTransfer!.getData("application/x-anymask-objects")) as number[]);
    // The row that the moved ones go before is the next one that does not move itself.
    const target = items.slice(dropAt.value).find((item) => !ids.has(item.id));
    moveBefore(ids, target?.id ?? null);
    dropAt.value = null;
  };

  return (
    <>
      <div class="panel-head row">
        <h2 class="grow" data-testid="object-count">
          {items.length === 1 ? "1 object" : `${items.length} objects`}
          {selection.value.size > 1 && <span> · {selection.value.size} selected</span>}
        </h2>
        <CommandButton id="objects.edit" icon={Edit} />
        <CommandButton id="objects.merge" icon={Merge} />
        <CommandButton id="objects.delete" icon={Trash} />
      </div>
      <div
        ref={list}
        class="objects"
        role={items.length ? "grid" : undefined}
        aria-label={items.length ? "Objects, the first on top" : undefined}
        aria-multiselectable={items.length ? true : undefined}
        aria-rowcount={items.length || undefined}
        data-testid="objects"
        onScroll={(event) => setWindow({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })}
        onDragOver={onDragOver}
        onDragLeave={() => (dropAt.value = null)}
        onDrop={onDrop}
      >
        <div role="presentation" style={{ height: `${items.length * ROW}px`, position: "relative" }}>
          {items.slice(from, to).map((item, index) => (
            <ObjectRow key={item.id} item={item} index={from + index} />
          ))}
          {dropAt.value !== null && <div class="drop-line" style={{ top: `${dropAt.value * ROW - 1}px` }} />}
        </div>
        {!items.length && current.value && (
          <div class="nothing">
            {pending.value ? (
              <p>Enter keeps the object that you are making.</p>
            ) : (
              <>
                <p>Click into the picture to make an object, or let all of them be found.</p>
                {isEnabled("everything.find") && (
                  <CommandButton id="everything.find" icon={Everything} text="Find everything" class="" testid="everything-empty" />
                )}
              </>
            )}
          </div>
        )}
        {!current.value && <p class="nothing">Objects of the open picture are listed here.</p>}
      </div>
    </>
  );
}
