/** Small controls bound to signals: a choice of few, a switch, a slider. */
import type { Signal } from "@preact/signals";
import { useId } from "preact/hooks";

/** One of a few, side by side: radio buttons that look like a segmented control. */
export function Choice<T extends string>(props: {
  label: string;
  value: Signal<T>;
  options: { value: T; title: string; hint?: string }[];
  /** Each choice gets `TESTID-VALUE`. */
  testid: string;
  onChange?: (value: T) => void;
}) {
  const name = useId();
  return (
    <div class="segments" role="radiogroup" aria-label={props.label}>
      {props.options.map((option) => (
        <label key={option.value} title={option.hint} class={option.value === props.value.value ? "on" : ""}>
          <input
            type="radio"
            name={name}
            checked={option.value === props.value.value}
            data-testid={`${props.testid}-${option.value || "none"}`}
            onChange={() => {
              props.value.value = option.value;
              props.onChange?.(option.value);
            }}
          />
          {option.title}
        </label>
      ))}
    </div>
  );
}

/** One of a few with a word on each: radio buttons that look like cards. */
export function Cards<T extends string>(props: {
  label: string;
  value: Signal<T>;
  options: { value: T; title: string; hint: string }[];
  /** Each card gets `TESTID-VALUE`. */
  testid: string;
}) {
  const name = useId();
  return (
    <fieldset class="plain cards" aria-label={props.label}>
      {props.options.map((option) => (
        <label key={option.value}>
          <input
            type="radio"
            name={name}
            checked={option.value === props.value.value}
            data-testid={`${props.testid}-${option.value}`}
            onChange={() => (props.value.value = option.value)}
          />
          <span>{option.title}</span>
          <span class="muted small">{option.hint}</span>
        </label>
      ))}
    </fieldset>
  );
}

export function Switch(props: { signal: Signal<boolean>; title: string; testid: string; onChange?: (value: boolean) => void }) {
  return (
    <label class="switch">
      <input
        type="checkbox"
        role="switch"
        checked={props.signal.value}
        data-testid={props.testid}
        onChange={(event) => {
          props.signal.value = event.currentTarget.checked;
          props.onChange?.(event.currentTarget.checked);
        }}
      />
      <span>{props.title}</span>
    </label>
  );
}

export function Slide(props: {
  signal: Signal<number>;
  title: string;
  min: number;
  max: number;
  step?: number;
  unit?: string;
  /** How the number is shown; by default the number and the unit. */
  text?: (value: number) => string;
  testid?: string;
}) {
  const text = props.text ? props.text(props.signal.value) : `${props.signal.value}${props.unit ?? ""}`;
  return (
    <label class="slide">
      <span class="muted">{props.title}</span>
      <input
        type="range"
        min={props.min}
        max={props.max}
        step={props.step ?? 1}
        value={props.signal.value}
        aria-valuetext={text}
        data-testid={props.testid}
        onInput={(event) => (props.signal.value = Number(event.currentTarget.value))}
      />
      <span class="numbers value">{text}</span>
    </label>
  );
}
