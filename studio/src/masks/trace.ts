/** The outline of a bitmap along the edges of its pixels. */
import type { Region } from "./region";

/** Closed loops, each a list of x, y pairs at its corners, in the region's picture. Holes are loops as well. */
export function trace(region: Region): Int32Array[] {
  const { width, height, bits } = region;
  const loops: Int32Array[] = [];
  // A rim of background saves the tests at the border.
  const stride = width + 2;
  const padded = new Uint8Array(stride * (height + 2));
  for (let row = 0; row < height; row++) padded.set(bits.subarray(row * width, (row + 1) * width), (row + 1) * stride + 1);
  const walked = new Uint8Array(padded.length);
  let corners: number[] = [];
  // A step to the right, down, left, up; and the two pixels ahead of a corner, on the left and on the right hand.
  const forward = [1, stride, -1, -stride];
  const leftAhead = [-stride, 0, -1, -stride - 1];
  const rightAhead = [0, -1, -stride - 1, -stride];
  for (let row = 1; row <= height; row++) {
    for (let column = 1; column <= width; column++) {
      const start = row * stride + column;
      // Every loop has an upper edge somewhere: pixel set, pixel above not.
      if (!padded[start] || padded[start - stride] || walked[start]) continue;
      corners = [];
      // A corner is named by the pixel to its lower right; the shape is on the right hand.
      let place = start;
      let direction = 0;
      do {
        if (direction === 0) walked[place] = 1;
        place += forward[direction];
        let turn = direction;
        if (padded[place + leftAhead[direction]]) turn = (direction + 3) & 3;
        else if (!padded[place + rightAhead[direction]]) turn = (direction + 1) & 3;
        if (turn !== direction) {
          const y = Math.floor(place / stride);
          corners.push(region.x + (place - y * stride) - 1, region.y + y - 1);
          direction = turn;
        }
      } while (place !== start || direction !== 0);
      loops.push(Int32Array.from(corners));
    }
  }
  return loops;
}

/** The loops as a path, in pixels of the picture; `scale` is the one that the region was reduced by. */
export function toPath(loops: readonly Int32Array[], scale = 1): Path2D {
  const path = new Path2D();
  for (const loop of loops) {
    path.moveTo(loop[0] / scale, loop[1] / scale);
    for (let index = 2; index < loop.length; index += 2) path.lineTo(loop[index] / scale, loop[index + 1] / scale);
    path.closePath();
  }
  return path;
}
