/** The video page: objects followed through a video. */
import { effect } from "@preact/signals";
import { register } from "../../commands";
import { more } from "../../canvas/measure";
import { guest } from "../../canvas/guest";
import { crosshair } from "../../canvas/scene";
import { opened } from "../../dialogs/modal";
import { fileHandlers, mayBePicture, VIDEOS } from "../../pictures/open";
import { addPanel, fill, filming, openPanel } from "../../slots";
import { models, say, toast, touch } from "../../state";
import * as v from "./clip";
import { VideoExport } from "./export";
import { playing, shown, watchFrames } from "./frames";
import { OpenButton, Unable, VideoPanel } from "./panel";
import { watchGuest } from "./scene";
import { Timeline } from "./timeline";
import "./video.css";

const ENDINGS = /\.(mp4|m4v|mov|mkv|webm|avi|ts|mts|m2ts|mpe?g|3gp|ogv|wmv|flv)$/i;

const open = () => filming.value && v.clip.value !== null;
const ready = () => open() && v.run.value === null && v.objects.value.length > 0;
/** The arrows move the crosshair while the keyboard points. */
const arrows = () => open() && !(crosshair.value && document.activeElement?.matches("canvas.canvas"));

function pick(): void {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = VIDEOS;
  input.hidden = true;
  document.body.append(input);
  input.oncancel = () => input.remove();
  input.onchange = () => {
    input.remove();
    const file = input.files?.[0];
    if (file) void v.open(file);
  };
  input.click();
}

const isVideo = (file: File) => file.type.startsWith("video/") || ENDINGS.test(file.name);

/** A video among files opens the video page; pictures alone go back to the pictures. */
async function takeFiles(files: File[]): Promise<boolean> {
  const video = files.find(isVideo);
  if (!video) {
    if (filming.value && files.some(mayBePicture)) openPanel.value = "objects";
    return false;
  }
  openPanel.value = "video";
  if (files.length > 1) toast(`One video is open at a time: ${video.name}; the other files were left out.`);
  await v.open(video);
  return true;
}

function go(step: number): void {
  playing.value = false;
  v.seek(v.at.value + step);
  say(`Frame ${v.at.value + 1} of ${v.last.value + 1}.`);
}

function deselect(): void {
  v.chosen.value = null;
  say("The next click makes a new object.");
}

export function installVideo(): void {
  addPanel({ id: "video", title: "Video", component: VideoPanel, order: 40 });
  fill("empty", "video", Invitation, 20);
  fill("overlay", "video", Arriving, 60);
  fill("strip", "video", Timeline, 1);
  fill("top", "video", Name, 20);
  fill("floating", "video", VideoExport, 81);
  fileHandlers.push(takeFiles);
  watchFrames();
  watchGuest();
  // A video that was open before a reload comes back when its page is shown.
  const stop = effect(() => {
    if (!filming.value || !models.value) return;
    queueMicrotask(() => stop());
    void v.restore();
  });
  more.video = () => ({
    clip: v.clip.value,
    objects: v.objects.value,
    at: v.at.value,
    shown: shown.value?.index ?? null,
    chosen: v.chosen.value,
    run: v.run.value,
    asking: v.asking.value,
    playing: playing.value,
    masks: [...(v.masksOf(v.at.value)?.values() ?? [])],
  });
  register(
    { id: "video.show", title: "Follow objects through a video", group: "Video", keys: ["Shift+V"], run: () => (openPanel.value = filming.value ? "objects" : "video") },
    { id: "video.open", title: "Open a video", group: "Video", keys: ["Mod+O"], enabled: () => filming.value && (models.value?.videos ?? false) && v.trackers.value.length > 0, run: pick },
    { id: "video.space", title: "Play or pause", group: "Video", keys: ["Space"], enabled: () => false, run: () => {} },
    { id: "video.play", title: "Play or pause (Space)", group: "Video", enabled: () => open() && v.last.value > 0, run: () => (playing.value = !playing.value) },
    { id: "video.next", title: "Next frame", group: "Video", keys: ["ArrowRight", "."], enabled: () => arrows() && v.at.value < v.last.value, run: () => go(1) },
    { id: "video.previous", title: "Previous frame", group: "Video", keys: ["ArrowLeft", ","], enabled: () => arrows() && v.at.value > 0, run: () => go(-1) },
    { id: "video.next-ten", title: "Ten frames on", group: "Video", keys: ["Shift+ArrowRight", "PageDown"], enabled: arrows, run: () => go(10) },
    { id: "video.previous-ten", title: "Ten frames back", group: "Video", keys: ["Shift+ArrowLeft", "PageUp"], enabled: arrows, run: () => go(-10) },
    { id: "video.first", title: "First frame", group: "Video", keys: ["Home"], enabled: open, run: () => go(-v.at.value) },
    { id: "video.last", title: "Last frame", group: "Video", keys: ["End"], enabled: open, run: () => go(v.last.value) },
    { id: "video.next-mark", title: "Next prompted frame", group: "Video", keys: ["Mod+ArrowRight"], enabled: () => open() && v.objects.value.length > 0, run: () => v.seekMark(1) },
    { id: "video.previous-mark", title: "Previous prompted frame", group: "Video", keys: ["Mod+ArrowLeft"], enabled: () => open() && v.objects.value.length > 0, run: () => v.seekMark(-1) },
    { id: "video.track-forward", title: "Track forward", group: "Video", keys: ["T"], enabled: ready, run: () => v.track("forward") },
    { id: "video.track-backward", title: "Track backward", group: "Video", keys: ["Shift+T"], enabled: ready, run: () => v.track("backward") },
    { id: "video.track-both", title: "Track both ways", group: "Video", keys: ["Alt+T"], enabled: ready, run: () => v.track("both") },
    { id: "video.cancel", title: "Cancel tracking", group: "Video", keys: ["Escape"], enabled: () => open() && v.run.value !== null, run: v.cancel },
    { id: "video.new", title: "New object with the next click", group: "Video", keys: ["Enter", "Escape"], enabled: () => open() && v.chosen.value !== null, run: deselect },
    { id: "video.remove", title: "Remove the object", group: "Video", keys: ["Delete", "Backspace"], enabled: () => open() && v.chosenObject.value !== null, run: () => v.remove(v.chosen.value!) },
    { id: "video.undo", title: "Take back the last point or box", group: "Video", keys: ["Mod+Z"], enabled: () => open() && v.undoable.value, run: v.undo },
    { id: "video.export", title: "Export what was found", group: "Video", keys: ["Mod+S"], enabled: () => open() && v.objects.value.length > 0, run: () => (opened.value = "video-export") },
    { id: "video.next-object", title: "Next object of the video", group: "Video", keys: ["J"], hidden: true, enabled: () => open() && v.objects.value.length > 0, run: () => v.chooseNext(1) },
    { id: "video.previous-object", title: "Previous object of the video", group: "Video", keys: ["K"], hidden: true, enabled: () => open() && v.objects.value.length > 0, run: () => v.chooseNext(-1) },
  );
}

function Name() {
  const info = v.clip.value;
  if (!info || guest.value === null) return null;
  return (
    <span class="row wide-only" style={{ minWidth: 0 }}>
      <span class="truncate">{info.name}</span>
      <span class="muted numbers">
        {info.width} × {info.height}
      </span>
    </span>
  );
}

function Invitation() {
  if (!filming.value || v.clip.value || v.opening.value) return null;
  return (
    <div class="invitation live" data-testid="video-empty">
      <svg viewBox="0 0 120 84" class="drawing" aria-hidden="true">
        <rect x="6" y="6" width="108" height="72" rx="9" />
        <path d="M22 6v72M98 6v72M6 24h16M6 42h16M6 60h16M98 24h16M98 42h16M98 60h16" />
        <path class="mask" d="M44 56c-3-12 5-27 18-28s24 9 23 18-8 12-15 11-7-4-12-4-12 8-14 3z" />
        <circle cx="63" cy="43" r="4" />
      </svg>
      <h1>{touch.matches ? "Open a video" : "Drop a video here"}</h1>
      <p class="muted">Click an object on any frame, and it is followed through the others. The video stays on this server, for as long as it is open.</p>
      <div class="row choices">
        <OpenButton />
      </div>
      <Unable />
    </div>
  );
}

/** Over the canvas while a video is on its way. */
function Arriving() {
  if (!filming.value) return null;
  if (v.opening.value) {
    return (
      <div class={`invitation live ${v.clip.value ? "over" : ""}`} role="status">
        <span class="spinner" />
        <p class="muted">Opening {v.opening.value} …</p>
        <button type="button" class="button" onClick={v.stopOpening}>
          Cancel
        </button>
      </div>
    );
  }
  if (v.clip.value && !shown.value) {
    return (
      <div class="invitation" role="status" aria-label="Loading the frame">
        <span class="spinner late" />
      </div>
    );
  }
  return null;
}
