/** The bar below the canvas while an item of a project is open: where one is, what is saved, what to do next. */
import { hint, isEnabled, run } from "../../commands";
import { filming } from "../../slots";
import { CommandButton } from "../../ui/controls";
import { Check, Trash } from "../../ui/icons";
import { Back, Cloud, CloudOff, Next, NextUndone, Previous, Warning } from "../../dialogs/icons";
import { count } from "../exchange/save";
import { askConflict } from "./conflict";
import { confidence, confirm, deleteUnconfirmed, engine, filling, foundCount, reviewing, stopFilling } from "./engine";
import type { SaveState } from "./draft";
import { elsewhere, items, openItem, status, STATUS_WORDS, unconfirmed } from "./store";

export function ItemBar() {
  const item = openItem.value;
  if (!item || filming.value) return null;
  const at = items.value.findIndex((one) => one.name === item.name);
  return (
    <div class="item-bar" role="group" aria-label="Item of the project">
      <CommandButton id="project.previous" icon={Previous} testid="item-prev" />
      <span class="numbers muted place">
        {at + 1} / {items.value.length}
      </span>
      <CommandButton id="project.next" icon={Next} testid="item-next" />
      <CommandButton id="project.next-undone" icon={NextUndone} testid="item-next-undone" />
      <span class="truncate name">{item.name}</span>
      <span class={`status-badge ${status.value}`}>{STATUS_WORDS[status.value ?? "new"]}</span>
      <SaveMark />
      <span class="grow" />
      <Waiting />
      {reviewing.value ? (
        <>
          <Plain id="project.send-back" text="Send back" icon={<Back />} testid="review-back" />
          <Plain id="project.accept" text="Accept" icon={<Check />} testid="review-accept" primary />
        </>
      ) : (
        <Plain id="project.done" text={status.value === "done" || status.value === "reviewed" ? "Reopen" : "Done"} icon={<Check />} testid="item-done" primary />
      )}
    </div>
  );
}

function Plain(props: { id: string; text: string; icon: preact.ComponentChildren; testid: string; primary?: boolean }) {
  return (
    <button
      type="button"
      class={`button ${props.primary ? "primary" : ""}`}
      title={hint(props.id)}
      disabled={!isEnabled(props.id)}
      data-testid={props.testid}
      onClick={() => run(props.id)}
    >
      {props.icon}
      {props.text}
    </button>
  );
}

/** The model's first attempt: how far it is, then what waits for the person. */
function Waiting() {
  const going = filling.value;
  if (going) {
    return (
      <span class="row">
        <progress max={going.total || 1} value={going.total ? going.done : undefined} aria-label="Filling in objects" />
        <button type="button" class="button" onClick={stopFilling}>
          Stop
        </button>
      </span>
    );
  }
  const waiting = unconfirmed.value;
  const found = engine.value === "semi" ? foundCount.value : 0;
  if (!waiting && !found) return null;
  return (
    <span class="row to-confirm">
      {found > 0 && (
        <label class="row confidence" title={`Only what the model is at least ${Math.round(confidence.value * 100)} % sure of, of ${count(found, "mask")}`}>
          <span class="hidden-text">Confidence</span>
          <input
            type="range"
            min="0"
            max="1"
            step="0.01"
            value={confidence.value}
            aria-valuetext={`confidence ${Math.round(confidence.value * 100)} percent`}
            data-testid="item-confidence"
            onInput={(event) => (confidence.value = Number(event.currentTarget.value))}
          />
          <span class="muted numbers">{Math.round(confidence.value * 100)} %</span>
        </label>
      )}
      <span class="muted numbers">{found > 0 ? `${waiting} of ${found} to confirm` : `${waiting} to confirm`}</span>
      <button type="button" disabled={!waiting} class="button icon quiet" aria-label="Delete all unconfirmed objects" title="Delete all unconfirmed objects" onClick={deleteUnconfirmed}>
        <Trash />
      </button>
      <button type="button" class="button" disabled={!waiting} title={hint("project.confirm-all")} data-testid="confirm-all" onClick={() => confirm(true)}>
        Confirm all
      </button>
    </span>
  );
}

const WORDS: Record<SaveState, string> = {
  saved: "saved",
  waiting: "saving…",
  saving: "saving…",
  offline: "offline, will retry",
  conflict: "conflict",
  error: "not saved",
};

/** What is saved, in one word; read out when it changes. */
export function SaveMark() {
  // Without an open item: what earlier ones, perhaps of another visit, still have to send.
  const draft = openItem.value?.draft;
  const others = elsewhere.value;
  const state = draft?.state.value ?? others[0]?.state.value ?? "saved";
  const contested = draft?.theirs.value ? draft : others.find((one) => one.theirs.value);
  const Icon = state === "offline" ? CloudOff : state === "conflict" || state === "error" ? Warning : Cloud;
  const more = others.length ? `, ${count(others.length, "other")} waiting` : "";
  const text = draft ? `${WORDS[state]}${more}` : `${count(others.length, "item")}: ${WORDS[state]}`;
  return (
    <span class={`save-mark ${state}`} title={draft?.problem.value || undefined}>
      <Icon />
      <span role="status" aria-live="polite" data-testid="save-state" data-state={state}>
        {text}
      </span>
      {contested && (
        <button type="button" class="button" onClick={() => askConflict(contested)}>
          Choose…
        </button>
      )}
      {!contested && (state === "offline" || state === "error") && (
        <button type="button" class="button wide-only" onClick={() => (draft ?? others[0])?.flush()}>
          Retry
        </button>
      )}
    </span>
  );
}
