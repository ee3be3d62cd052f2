/** Buttons that know their command: title, key, whether they can be pressed. */
import type { ComponentType } from "preact";
import { hint, isEnabled, run } from "../commands";

/** A button with an icon that runs a command; its tooltip and label are the command's. */
export function CommandButton(props: { id: string; icon: ComponentType; pressed?: boolean; class?: string; text?: string; testid?: string }) {
  const Icon = props.icon;
  const title = hint(props.id);
  return (
    <button
      type="button"
      class={`button ${props.text ? "" : "icon"} ${props.class ?? "quiet"}`}
      title={title}
      aria-label={props.text ? undefined : title}
      aria-pressed={props.pressed}
      disabled={!isEnabled(props.id)}
      onClick={() => run(props.id)}
      data-testid={props.testid ?? props.id}
    >
      <Icon />
      {props.text}
    </button>
  );
}
