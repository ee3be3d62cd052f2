/** The video panel: the objects, tracking, and the video itself. */
import { hint, isEnabled, run as command } from "../../commands";
import { models, touch } from "../../state";
import { CommandButton } from "../../ui/controls";
import { Close, Eye, EyeOff, Plus, Trash } from "../../ui/icons";
import { asking, cancel, chosen, chosenPrompt, clearFrame, clip, close, foundCount, hidden, masksOf, objects, remove, reset, run, trackers, at } from "./clip";
import { Backward, Both, Film, Forward } from "./icons";
import { colorOfObject } from "./scene";
import { clock, countOf } from "./spans";
import type { VideoObject } from "../../api";

export function VideoPanel() {
  if (!clip.value) {
    return (
      <section class="section" aria-label="Video">
        <p class="muted">Objects are followed from frame to frame: open a video, click an object on any frame, and track it.</p>
      </section>
    );
  }
  return (
    <>
      <Objects />
      <Track />
      <About />
    </>
  );
}

/** Why this server cannot follow objects, where it cannot. */
export function Unable() {
  if (!models.value) return null;
  if (!models.value.videos) {
    return (
      <p class="problem" data-testid="video-missing">
        This server reads no videos: it needs the video extra, <code>pip install "anymask[video]"</code>.
      </p>
    );
  }
  return trackers.value.length ? null : <p class="problem">This server has no model that follows objects.</p>;
}

export function OpenButton() {
  return (
    <button type="button" class="button primary" title={hint("video.open")} disabled={!isEnabled("video.open")} onClick={() => command("video.open")} data-testid="video-open">
      <Film />
      Open a video
    </button>
  );
}

function Objects() {
  const all = objects.value;
  return (
    <>
      <div class="panel-head row">
        <h2 class="grow" data-testid="video-count">
          {all.length === 1 ? "1 object" : `${all.length} objects`}
        </h2>
        <CommandButton id="video.new" icon={Plus} text="New object" class="small-button" />
      </div>
      {all.length > 0 ? (
        <ul class="video-objects" aria-label="Objects of the video">
          {all.map((one) => (
            <Row key={one.id} one={one} />
          ))}
        </ul>
      ) : (
        <p class="nothing-yet muted">{touch.matches ? "Tap an object in the video; hold a finger on what does not belong to it." : "Click an object in the video, or drag a box around it."}</p>
      )}
      {chosenPrompt.value && (
        <div class="row this-frame">
          <span class="muted grow small">
            {describe(chosenPrompt.value.points.length, chosenPrompt.value.box !== null)} on frame {at.value + 1}
          </span>
          <button type="button" class="button small-button" onClick={clearFrame} data-testid="video-clear">
            Take back
          </button>
        </div>
      )}
    </>
  );
}

function describe(points: number, box: boolean): string {
  const parts = [points ? `${points} ${points === 1 ? "point" : "points"}` : "", box ? "a box" : ""].filter(Boolean);
  const text = parts.join(" and ") || "A mask";
  return text[0].toUpperCase() + text.slice(1);
}

function Row({ one }: { one: VideoObject }) {
  foundCount.value;
  const mask = masksOf(at.value)?.get(one.id);
  const frames = countOf(one.spans);
  const off = hidden.value.has(one.id);
  const name = `Object ${one.id}`;
  const facts = mask && !mask.area ? "not seen here" : `${frames} ${frames === 1 ? "frame" : "frames"}`;
  const toggle = () => {
    const now = new Set(hidden.value);
    if (!now.delete(one.id)) now.add(one.id);
    hidden.value = now;
  };
  return (
    <li class={`object ${one.id === chosen.value ? "selected" : ""} ${off ? "off" : ""}`} data-testid={`video-object-${one.id}`}>
      <button
        type="button"
        class="pick"
        aria-pressed={one.id === chosen.value}
        aria-label={`${name}, ${facts}`}
        onClick={() => (chosen.value = one.id === chosen.value ? null : one.id)}
      >
        <span class="swatch" style={{ background: colorOfObject(one.id) }} />
        <span class="grow truncate">{name}</span>
        <span class="facts numbers muted">{facts}</span>
      </button>
      <button type="button" class={`button icon quiet ${off ? "on" : "faint"}`} aria-pressed={off} aria-label={`${off ? "Show" : "Hide"} ${name}`} title={off ? "Show" : "Hide"} onClick={toggle}>
        {off ? <EyeOff /> : <Eye />}
      </button>
      <button type="button" class="button icon quiet faint" aria-label={`Remove ${name}`} title="Remove" onClick={() => remove(one.id)} data-testid={`video-remove-${one.id}`}>
        <Trash />
      </button>
    </li>
  );
}

function Track() {
  const now = run.value;
  return (
    <section class="section" aria-label="Track">
      <h2>Track</h2>
      {now ? (
        <div class="tracking" role="group" aria-label="Tracking" data-testid="video-tracking">
          <div class="row">
            <span class="grow numbers">
              {now.done} of {now.total || "…"} frames
            </span>
            <span class="numbers muted" data-testid="video-fps">
              {now.fps ? `${now.fps.toFixed(1)} a second` : ""}
            </span>
          </div>
          <progress max={now.total || 1} value={now.total ? now.done : undefined} aria-label="Frames tracked" />
          <button type="button" class="button" disabled={now.ending} title={hint("video.cancel")} onClick={cancel} data-testid="video-cancel">
            {now.ending ? "Stopping …" : "Cancel"}
          </button>
        </div>
      ) : (
        <>
          <div class="track-buttons">
            <CommandButton id="video.track-backward" icon={Backward} text="Back" class="" />
            <CommandButton id="video.track-both" icon={Both} text="Both" class="" />
            <CommandButton id="video.track-forward" icon={Forward} text="Forward" class="primary" />
          </div>
          <p class="muted small">
            {objects.value.length
              ? "From this frame on. Where a mask goes wrong, click to correct it, and track again from there."
              : "All objects are followed together, from the frame that is shown."}
          </p>
        </>
      )}
      {asking.value > 0 && (
        <p class="row muted small" role="status">
          <span class="spinner small late" /> The model is looking …
        </p>
      )}
    </section>
  );
}

function About() {
  const info = clip.value!;
  const many = trackers.value.length > 1;
  return (
    <section class="section" aria-label="Video">
      <div class="row">
        <h2 class="grow truncate" title={info.name}>
          {info.name}
        </h2>
        <button type="button" class="button icon quiet" aria-label="Close the video" title="Close the video" onClick={close} data-testid="video-close">
          <Close />
        </button>
      </div>
      <p class="muted small numbers">
        {info.width} × {info.height} · {info.frames} {info.frames === 1 ? "frame" : "frames"} · {Number(info.fps.toFixed(2))} a second · {clock(info.seconds)}
      </p>
      {info.trouble && <p class="problem small">{`${info.trouble[0].toUpperCase()}${info.trouble.slice(1)}.`}</p>}
      {many && (
        <label class="stack">
          <span class="muted">Model</span>
          <select
            class="field"
            value={info.model}
            disabled={objects.value.length > 0 || run.value !== null}
            title={objects.value.length ? "Remove the objects to choose another model" : trackers.value.find((one) => one.name === info.model)?.description}
            onChange={(event) => reset(event.currentTarget.value)}
            data-testid="video-model"
          >
            {trackers.value.map((one) => (
              <option key={one.name} value={one.name}>
                {one.name}
              </option>
            ))}
          </select>
        </label>
      )}
    </section>
  );
}
