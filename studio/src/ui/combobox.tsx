/** A text field that offers what was written before. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { naming, usedNames } from "./names";

let number = 0;

export function NameField(props: {
  value: string;
  label: string;
  placeholder?: string;
  testid?: string;
  class?: string;
  focus?: number;
  disabled?: boolean;
  /** After Enter, after a choice, or when the field is left. */
  onCommit: (name: string) => void;
  onCancel?: () => void;
  /** Enter was pressed; comes after `onCommit`. */
  onEnter?: () => void;
}) {
  const [id] = useState(() => `names${++number}`);
  const [text, setText] = useState(props.value);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const field = useRef<HTMLInputElement>(null);
  // What was committed last: leaving the field afterwards commits nothing again.
  const settled = useRef(props.value);
  // Escape or Enter has dealt with the text: the blur that follows must not.
  const given = useRef(false);
  useLayoutEffect(() => {
    setText(props.value);
    settled.current = props.value;
  }, [props.value]);
  // At once, so that no letter that is typed next is taken for a shortcut.
  useLayoutEffect(() => {
    if (!props.focus) return;
    field.current?.focus();
    field.current?.select();
    naming.value = null;
  }, [props.focus]);

  const wanted = text.trim().toLowerCase();
  const offered = open
    ? usedNames.value
        .filter((name) => name.toLowerCase().includes(wanted) && name !== text)
        .sort((a, b) => Number(b.toLowerCase().startsWith(wanted)) - Number(a.toLowerCase().startsWith(wanted)))
        .slice(0, 7)
    : [];
  const commit = (name: string) => {
    setText(name);
    setOpen(false);
    setActive(-1);
    if (name.trim() === settled.current) return;
    settled.current = name.trim();
    props.onCommit(name.trim());
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      setOpen(true);
      const count = offered.length;
      if (count)
        setActive((active + (event.key === "ArrowDown" ? 1 : -1) + count + (active < 0 && event.key === "ArrowUp" ? 1 : 0)) % count);
      event.preventDefault();
    } else if (event.key === "Enter") {
      commit(active >= 0 ? offered[active] : text);
      event.preventDefault();
      given.current = !!props.onEnter;
      props.onEnter?.();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (open && offered.length) return setOpen(false);
      given.current = true;
      setText(props.value);
      props.onCancel?.();
      field.current?.blur();
      document.querySelector<HTMLElement>("canvas.canvas")?.focus();
    } else if (event.key === "Tab" && active >= 0) commit(offered[active]);
  };
  return (
    <span class={`names ${props.class ?? ""}`}>
      <input
        ref={field}
        class="field"
        type="text"
        role="combobox"
        aria-label={props.label}
        aria-expanded={offered.length > 0}
        aria-controls={id}
        aria-autocomplete="list"
        aria-activedescendant={active >= 0 ? `${id}-${active}` : undefined}
        autocomplete="off"
        spellcheck={false}
        maxLength={200}
        placeholder={props.placeholder}
        disabled={props.disabled}
        data-testid={props.testid}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setOpen(true);
          setActive(-1);
        }}
        onFocus={() => (given.current = false)}
        onKeyDown={onKey}
        onBlur={() => {
          if (!given.current) commit(text);
          given.current = false;
        }}
      />
      <ul id={id} role="listbox" aria-label="Names used so far" hidden={!offered.length}>
        {offered.map((name, index) => (
          <li
            key={name}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === active}
            onPointerDown={(event) => {
              event.preventDefault();
              commit(name);
              given.current = !!props.onEnter;
              props.onEnter?.();
            }}
          >
            {name}
          </li>
        ))}
      </ul>
    </span>
  );
}
