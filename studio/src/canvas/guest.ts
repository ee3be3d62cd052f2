/** What has the canvas instead of a picture: the video page. View, pointers and keys work for it as for pictures. */
import { signal } from "@preact/signals";
import type { Box, Point } from "../api/types";
import type { Frame } from "./overlays";

export interface Guest {
  /** The view is remembered under this name. */
  key: string;
  width: number;
  height: number;
  /** What the canvas says of itself to those who do not see it. */
  label: string;
  /** Reads all signals that `draw` depends on. */
  watch: () => void;
  /** Draws all but the dragged box and the crosshair. `zoom`: device pixels for one of the picture. */
  draw: (frame: Frame, zoom: number) => void;
  addPoint: (point: Point, label: 0 | 1) => void;
  setBox: (box: Box) => void;
  /** The points that are shown, which a click takes away. */
  points: () => readonly Point[];
  removePoint: (index: number) => void;
  /** The space bar, where it neither pans nor points. */
  tap: () => void;
}

export const guest = signal<Guest | null>(null);
