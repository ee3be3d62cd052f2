/** Sentences that come and go. */
import { dismiss, toasts } from "../state";
import { Close } from "./icons";

export function Toasts() {
  return (
    <div class="toasts" role="region" aria-label="Messages">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={`toast ${toast.kind}`} role={toast.kind === "error" ? "alert" : "status"} data-testid={`toast-${toast.kind}`}>
          <span class="grow">{toast.text}</span>
          {toast.action && (
            <button
              class="button"
              type="button"
              onClick={() => {
                toast.action?.run();
                dismiss(toast.id);
              }}
            >
              {toast.action.title}
            </button>
          )}
          <button class="button icon quiet" type="button" aria-label="Close the message" onClick={() => dismiss(toast.id)}>
            <Close />
          </button>
        </div>
      ))}
    </div>
  );
}
