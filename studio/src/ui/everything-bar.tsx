/** What floats below the picture while everything is looked for, and after. */
import { hint } from "../commands";
import { leastScore, leastShare, cancelSearch, discardFound, keepFound, passing, search } from "../tools/everything";
import { filming } from "../slots";
import { Check, Close } from "./icons";

/** The size slider runs over powers of ten: from one pixel of ten thousand to a fifth of the picture. */
const toShare = (value: number) => (value <= 0 ? 0 : 10 ** (-4 + (value / 100) * 3.3));
const fromShare = (share: number) => (share <= 0 ? 0 : ((Math.log10(share) + 4) / 3.3) * 100);

export function EverythingBar() {
  const now = search.value;
  if (!now || filming.value) return null;
  if (now.state === "running") {
    return (
      <div class="bar live" role="group" aria-label="Finding everything" data-testid="everything-bar">
        <div class="grow">
          <div class="row">
            <span class="grow">Finding everything …</span>
            <span class="numbers muted">{now.masks.length} found</span>
          </div>
          <progress max={now.total || 1} value={now.total ? now.done : undefined} aria-label="Progress" />
        </div>
        <button type="button" class="button" onClick={cancelSearch} data-testid="everything-cancel">
          {now.masks.length ? "Stop" : "Cancel"}
        </button>
      </div>
    );
  }
  const count = passing.value.length;
  return (
    <div class="bar live review" role="group" aria-label="What was found" data-testid="everything-bar">
      <label class="slider">
        <span class="row">
          <span class="grow">Smallest</span>
          <span class="numbers muted">{leastShare.value ? `${(leastShare.value * 100).toPrecision(2)} %` : "any"}</span>
        </span>
        <input
          type="range"
          min="0"
          max="100"
          value={fromShare(leastShare.value)}
          onInput={(event) => (leastShare.value = toShare(Number(event.currentTarget.value)))}
          data-testid="size-slider"
        />
      </label>
      <label class="slider">
        <span class="row">
          <span class="grow">Score</span>
          <span class="numbers muted">{leastScore.value ? `≥ ${leastScore.value.toFixed(2)}` : "any"}</span>
        </span>
        <input
          type="range"
          min="0"
          max="1"
          step="0.01"
          value={leastScore.value}
          onInput={(event) => (leastScore.value = Number(event.currentTarget.value))}
          data-testid="score-slider"
        />
      </label>
      <button type="button" class="button" title={hint("everything.discard")} onClick={discardFound} data-testid="everything-discard">
        <Close />
        Discard
      </button>
      <button type="button" class="button primary numbers" disabled={!count} title={hint("everything.keep")} onClick={keepFound} data-testid="everything-keep">
        <Check />
        Keep {count}
      </button>
    </div>
  );
}
