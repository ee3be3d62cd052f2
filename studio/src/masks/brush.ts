/** The mask of a brush stroke: all pixels whose middle is within the radius of the line. */
import { regionSpans, type Region } from "./region";
import type { Spans } from "./rle";

/** `points` are x, y pairs in pixels of the picture (the middle of the first pixel is 0.5, 0.5). */
export function strokeSpans(points: readonly number[], radius: number, width: number, height: number): Spans {
  const region = emptyRegion(points, radius, width, height);
  if (!region) return new Uint32Array(0);
  if (points.length === 2) capsule(region, points[0], points[1], points[0], points[1], radius);
  for (let index = 0; index + 3 < points.length; index += 2) {
    capsule(region, points[index], points[index + 1], points[index + 2], points[index + 3], radius);
  }
  return regionSpans(region, height);
}

function emptyRegion(points: readonly number[], radius: number, width: number, height: number): Region | null {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let index = 0; index < points.length; index += 2) {
    x0 = Math.min(x0, points[index]);
    x1 = Math.max(x1, points[index]);
    y0 = Math.min(y0, points[index + 1]);
    y1 = Math.max(y1, points[index + 1]);
  }
  const left = Math.max(0, Math.floor(x0 - radius - 1));
  const top = Math.max(0, Math.floor(y0 - radius - 1));
  const right = Math.min(width, Math.ceil(x1 + radius + 1));
  const bottom = Math.min(height, Math.ceil(y1 + radius + 1));
  if (right <= left || bottom <= top) return null;
  return { x: left, y: top, width: right - left, height: bottom - top, bits: new Uint8Array((right - left) * (bottom - top)) };
}

/** Fills, row by row, the interval that the convex shape around a line has there. */
function capsule(region: Region, ax: number, ay: number, bx: number, by: number, radius: number): void {
  // The pixel under the pointer always counts, however thin the brush.
  const r = Math.max(radius, 0.71);
  const dx = bx - ax;
  const dy = by - ay;
  const length = Math.hypot(dx, dy);
  const first = Math.max(0, Math.floor(Math.min(ay, by) - r - region.y));
  const last = Math.min(region.height - 1, Math.ceil(Math.max(ay, by) + r - region.y));
  for (let row = first; row <= last; row++) {
    const y = region.y + row + 0.5;
    let left = Infinity;
    let right = -Infinity;
    const cover = (from: number, to: number) => {
      left = Math.min(left, from);
      right = Math.max(right, to);
    };
    for (const [cx, cy] of [
      [ax, ay],
      [bx, by],
    ]) {
      const rest = r * r - (y - cy) * (y - cy);
      if (rest >= 0) cover(cx - Math.sqrt(rest), cx + Math.sqrt(rest));
    }
    if (length > 0) {
      // The rectangle between the two circles: its four sides, where they cross the row.
      const nx = (-dy / length) * r;
      const ny = (dx / length) * r;
      const corners = [ax + nx, ay + ny, bx + nx, by + ny, bx - nx, by - ny, ax - nx, ay - ny];
      for (let side = 0; side < 8; side += 2) {
        const x0 = corners[side];
        const y0 = corners[side + 1];
        const x1 = corners[(side + 2) % 8];
        const y1 = corners[(side + 3) % 8];
        if (y0 === y1 || y < Math.min(y0, y1) || y > Math.max(y0, y1)) continue;
        const x = x0 + ((y - y0) / (y1 - y0)) * (x1 - x0);
        cover(x, x);
      }
    }
    const from = Math.max(0, Math.ceil(left - 0.5) - region.x);
    const to = Math.min(region.width, Math.floor(right - 0.5) + 1 - region.x);
    if (to > from) region.bits.fill(1, row * region.width + from, row * region.width + to);
  }
}
