/** The shapes of the server's API. Coordinates are pixels of the upright picture. */

/** A mask, run-length encoded as COCO's compressed strings: column after column, background first. */
export interface RLE {
  size: [height: number, width: number];
  counts: string;
}

export type Point = [x: number, y: number];
/** x0, y0, x1, y1. In answers the last two are the last column and row (inclusive). */
export type Box = [number, number, number, number];

export interface ModelInfo {
  name: string;
  family: string;
  description: string;
  tasks: ("segment" | "matte" | "trimap")[];
  licence: string;
  commercial: boolean;
  /** Commercial use is allowed, and what uses the model, services included, has to be open. */
  copyleft: boolean;
  loaded: boolean;
  classes: string[];
  /** Whether it can follow objects through a video. */
  tracks: boolean;
}

export interface Models {
  models: ModelInfo[];
  segment: string | null;
  matte: string | null;
  limits: { upload_bytes: number; pixels: number };
  urls: boolean;
  projects: boolean;
  /** Whether the server reads videos. */
  videos: boolean;
  version: string;
  /** Names of pictures for trying things out, at /api/samples/NAME; servers without any leave this out. */
  samples?: string[];
}

export interface PictureInfo {
  id: string;
  width: number;
  height: number;
  bytes: number;
  format: string;
}

export interface PromptRequest {
  points?: Point[];
  labels?: (0 | 1)[];
  box?: Box;
  mask_id?: string;
  name?: string;
  multimask?: boolean | null;
}

export interface Mask {
  id: string;
  score: number;
  area: number;
  box: Box;
  rle: RLE;
  polygons?: Point[][];
}

export interface PredictAnswer {
  model: string;
  width: number;
  height: number;
  milliseconds: number;
  results: { masks: Mask[] }[];
}

export interface FoundMask extends Mask {
  key: number;
  stability_score: number;
  point: Point;
}

export type EverythingLine =
  | { type: "start"; model: string; width: number; height: number; total: number }
  | ({ type: "mask" } & FoundMask)
  | { type: "drop"; keys: number[] }
  | { type: "progress"; done: number; total: number }
  | { type: "done"; keys: number[]; milliseconds: number }
  | { type: "error"; error: string };

export interface CutoutOptions {
  model?: string;
  prompt?: { points?: Point[]; labels?: (0 | 1)[]; box?: Box };
  masks?: RLE[];
  mask_only?: boolean;
  background?: null | string | { picture: string };
  bgcolor?: [number, number, number, number];
  edges?: "fast" | "closed-form" | "vitmatte" | "none";
  refine?: boolean;
  foreground?: boolean;
  clean?: boolean;
  classes?: string[];
  each?: boolean;
  crop?: boolean;
  margin?: string;
  outline?: string;
  shadow?: boolean;
  pad?: string;
  foreground_threshold?: number;
  background_threshold?: number;
  erode?: number;
  preprocessing?: string;
  format?: "png" | "webp" | "tiff" | "jpg" | "avif";
  quality?: number;
  max?: number;
}

export type ExportFormat = "coco" | "png" | "svg" | "geojson" | "npz" | "yolo" | "labelme" | "sa1b";

export interface LiveRequest extends PromptRequest {
  picture: string;
  model?: string;
  /** Only the best of the candidates is answered. */
  best?: boolean;
}

export interface LiveAnswer {
  seq: number;
  picture: string;
  masks: Mask[];
  milliseconds: number;
}

export type ItemStatus = "new" | "started" | "done" | "reviewed";

/** An object as a project keeps it. The order of a list of them is the stacking order, the first on top. */
export interface ObjectRecord {
  id: number;
  rle: RLE;
  name: string;
  color?: string;
  score?: number;
  stability_score?: number;
  point?: Point;
  hidden?: boolean;
  locked?: boolean;
  source?: "prompt" | "brush" | "everything" | "import";
  confirmed?: boolean;
}

export interface ProjectSummary {
  name: string;
  pictures: number;
  done: number;
}

export interface ProjectItem {
  name: string;
  status: ItemStatus;
  objects: number;
  width: number;
  height: number;
  revision: number;
  /** Why the picture or its annotations cannot be used. */
  error?: string;
}

export interface Project {
  name: string;
  items: ProjectItem[];
  labels: string[];
}

export interface ProjectItemFull {
  name: string;
  picture: string;
  width: number;
  height: number;
  status: ItemStatus;
  revision: number;
  objects: ObjectRecord[];
  /** Why the annotations that are there cannot be read; saving puts them aside. */
  error?: string;
}

export type AutomaticLine =
  | { type: "start"; model: string; total: number }
  | { type: "progress"; name: string; done: number; total: number }
  | { type: "item"; name: string; objects: number; done: number; total: number; error?: string }
  | { type: "done" }
  | { type: "error"; error: string };

/** What was said of an object on a frame; `mask`: all that it covers. */
export interface VideoPrompt {
  frame: number;
  points: Point[];
  labels: (0 | 1)[];
  box: Box | null;
  mask: boolean;
}

export interface VideoObject {
  id: number;
  prompts: VideoPrompt[];
  /** The frames that it was looked for on, first and last of each run; and of these the ones that it is not seen on. */
  spans: [first: number, last: number][];
  absent: [first: number, last: number][];
}

export interface VideoInfo {
  id: string;
  name: string;
  width: number;
  height: number;
  frames: number;
  fps: number;
  seconds: number;
  bytes: number;
  model: string;
  tracking: boolean;
  /** What ended the video early or is missing from it, or "". */
  trouble: string;
  objects: VideoObject[];
}

/** An object's mask on a frame; an empty one where the object is not seen. */
export interface VideoMask {
  object: number;
  presence: number;
  score: number;
  area: number;
  box: Box;
  rle: RLE;
}

export type TrackLine =
  | { type: "start"; model: string; total: number }
  | { type: "frame"; frame: number; done: number; fps: number; masks: VideoMask[] }
  | { type: "done"; frames: number; last: number | null; fps: number; cancelled: boolean; trouble: string }
  | { type: "error"; error: string; status: number };

export type VideoFormat = "labels" | "sav" | "overlay" | "cutout" | "cutout-mov";
