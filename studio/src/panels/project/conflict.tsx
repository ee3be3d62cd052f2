/** Somebody else saved the same item: the person chooses. Nothing is lost until then, and closing the dialog decides nothing. */
import { effect, signal } from "@preact/signals";
import { Modal, opened } from "../../dialogs/modal";
import { say } from "../../state";
import { count } from "../exchange/save";
import { draftEvents, type Draft } from "./draft";
import { STATUS_WORDS } from "./store";

const about = signal<Draft | null>(null);

/** Asks what is to become of a draft whose item was saved by somebody else. */
export function askConflict(draft: Draft): void {
  about.value = draft;
  opened.value = "conflict";
}

export function watchConflicts(): void {
  const waiting = signal<readonly Draft[]>([]);
  draftEvents.conflict = (draft) => (waiting.value = [...waiting.value.filter((one) => one !== draft), draft]);
  // One after the other, and never in place of a dialog that is open.
  effect(() => {
    const [first, ...rest] = waiting.value;
    if (!first || opened.value) return;
    waiting.value = rest;
    if (first.theirs.peek()) askConflict(first);
  });
}

export function ConflictDialog() {
  return (
    <Modal name="conflict" title="Saved by somebody else">
      {() => <Inside />}
    </Modal>
  );
}

function Inside() {
  const draft = about.value;
  const theirs = draft?.theirs.value;
  if (!draft || !theirs) return <p>This is settled.</p>;
  const resolve = (how: "mine" | "theirs" | "both", said: string) => {
    draft.resolve(how);
    opened.value = null;
    say(said);
  };
  return (
    <div class="form">
      <p>
        <strong>{draft.name}</strong> was saved by somebody else, or in another window, while you worked on it.
      </p>
      <dl class="versions">
        <dt>Mine</dt>
        <dd>
          {count(draft.content.objects.length)}, {STATUS_WORDS[draft.content.status]}
        </dd>
        <dt>Theirs</dt>
        <dd>
          {count(theirs.objects.length)}, {STATUS_WORDS[theirs.status]}
        </dd>
      </dl>
      <p class="muted small">Keeping both leaves your objects as they are and adds what only theirs has below them, as new objects.</p>
      <div class="buttons">
        <button type="button" class="button" data-testid="conflict-theirs" onClick={() => resolve("theirs", "Took the other version; undo brings yours back.")}>
          Take theirs
        </button>
        <button type="button" class="button" data-testid="conflict-mine" onClick={() => resolve("mine", "Kept your version.")}>
          Keep mine
        </button>
        <button type="button" class="button primary" data-testid="conflict-both" onClick={() => resolve("both", "Kept both versions.")}>
          Keep both
        </button>
      </div>
    </div>
  );
}
