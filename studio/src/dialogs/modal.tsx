/** A native dialog: Esc closes it, the focus goes back to where it was, what is behind cannot be reached. */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Close } from "../ui/icons";

export type DialogName = "cheat-sheet" | "settings" | "about" | "export" | "conflict" | "report" | "new-project" | "video-export";
/** The dialog that is open. */
export const opened = signal<DialogName | null>(null);

export function Modal(props: {
  name: DialogName;
  title: string;
  class?: string;
  /** Called when it closes, in whatever way. */
  onClose?: () => void;
  children: () => ComponentChildren;
}) {
  const element = useRef<HTMLDialogElement>(null);
  const open = opened.value === props.name;
  useEffect(() => {
    const dialog = element.current!;
    if (open && !dialog.open) {
      dialog.showModal();
      // What the dialog is about has the focus, rather than the button that closes it.
      const first = ["[autofocus]", "input:checked", "input, select, textarea", ".primary"].map((kind) => dialog.querySelector<HTMLElement>(kind));
      first.find((element) => element && !element.matches(":disabled"))?.focus();
    }
    else if (!open && dialog.open) dialog.close();
  }, [open]);
  const closed = () => {
    if (opened.value === props.name) opened.value = null;
    props.onClose?.();
  };
  // A click beside the dialog hits the dialog itself; one inside hits what is in it.
  const beside = (event: MouseEvent) => event.target === element.current && element.current?.close();
  return (
    <dialog ref={element} class={`modal ${props.class ?? ""}`} aria-labelledby={`${props.name}-title`} data-testid={props.name} onClose={closed} onMouseDown={beside}>
      {open && (
        <div class="modal-inside">
          <header class="modal-head">
            <h1 id={`${props.name}-title`}>{props.title}</h1>
            <button type="button" class="button icon quiet" aria-label="Close" title="Close (Esc)" onClick={() => element.current?.close()}>
              <Close />
            </button>
          </header>
          {props.children()}
        </div>
      )}
    </dialog>
  );
}
