/** The timeline below the canvas: scrubbing, playing, and for each object what was said and found on which frames. */
import { filming } from "../../slots";
import { CommandButton } from "../../ui/controls";
import { chosen, clip, hidden, last, objects, at, seek } from "./clip";
import { playing } from "./frames";
import { MarkNext, MarkPrevious, Pause, Play, StepNext, StepPrevious } from "./icons";
import { colorOfObject } from "./scene";
import { clock, without, type Span } from "./spans";

const place = (frame: number) => (last.value ? (100 * frame) / last.value : 0);

/** A run reaches half a frame beyond its ends, so that runs that follow each other meet. */
function stretch([first, end]: Span) {
  const left = Math.max(0, place(first - 0.5));
  return { left: `${left}%`, width: `${Math.min(100, place(end + 0.5)) - left}%` };
}

export function Timeline() {
  const info = clip.value;
  if (!info || !filming.value) return null;
  const now = at.value;
  const time = clock(now / (info.fps || 25));
  return (
    <div class="timeline" role="group" aria-label="Timeline" data-testid="timeline">
      <div class="row controls">
        <CommandButton id="video.previous-mark" icon={MarkPrevious} class="quiet wide-only" />
        <CommandButton id="video.previous" icon={StepPrevious} />
        <CommandButton id="video.play" icon={playing.value ? Pause : Play} pressed={playing.value} />
        <CommandButton id="video.next" icon={StepNext} />
        <CommandButton id="video.next-mark" icon={MarkNext} class="quiet wide-only" />
        <span class="numbers" data-testid="video-frame">
          Frame {now + 1} <span class="muted">of {info.frames}</span>
        </span>
        <span class="grow" />
        <span class="numbers muted">
          {time}
          <span class="wide-only"> / {clock(info.seconds)}</span>
        </span>
      </div>
      <div class="lanes-outside">
        <div class="lanes">
          <input
            type="range"
            class="scrub"
            min={0}
            max={last.value}
            step={1}
            value={now}
            disabled={!last.value}
            aria-label="Frame"
            aria-valuetext={`Frame ${now + 1} of ${info.frames}, ${time}`}
            data-testid="video-scrub"
            onInput={(event) => {
              playing.value = false;
              seek(Number(event.currentTarget.value));
            }}
          />
          <div class="inside" aria-hidden="true">
            <div class="rail" />
            {objects.value.map((one) => (
              <div
                key={one.id}
                class={`lane ${one.id === chosen.value ? "chosen" : ""} ${hidden.value.has(one.id) ? "off" : ""}`}
                style={{ color: colorOfObject(one.id) }}
                data-testid={`lane-${one.id}`}
              >
                {one.absent.map((span) => (
                  <i key={`absent ${span[0]}`} class="absent" style={stretch(span)} />
                ))}
                {without(one.spans, one.absent).map((span) => (
                  <i key={span[0]} style={stretch(span)} />
                ))}
                {one.prompts.map((prompt) => (
                  <b key={prompt.frame} style={{ left: `${place(prompt.frame)}%` }} />
                ))}
              </div>
            ))}
            <div class="playhead" style={{ left: `${place(now)}%` }} />
          </div>
        </div>
      </div>
    </div>
  );
}
