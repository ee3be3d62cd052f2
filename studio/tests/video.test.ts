import { describe, expect, it } from "vitest";
import { clock, countOf, extended, nearest, without, type Span } from "../src/panels/video/spans";

/** The frames of runs, one by one. */
const frames = (spans: readonly Span[]) => spans.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, at) => first + at));

describe("runs of frames", () => {
  it("grow by a frame, in order, and join", () => {
    expect(extended([], 4)).toEqual([[4, 4]]);
    expect(extended([[4, 4]], 5)).toEqual([[4, 5]]);
    expect(extended([[4, 5], [7, 9]], 6)).toEqual([[4, 9]]);
    expect(extended([[4, 5], [9, 9]], 7)).toEqual([[4, 5], [7, 7], [9, 9]]);
    expect(extended([[4, 5]], 1)).toEqual([[1, 1], [4, 5]]);
    expect(extended([[4, 9]], 6)).toEqual([[4, 9]]);
  });

  it("are what sets of frames would be", () => {
    let spans: Span[] = [];
    const set = new Set<number>();
    let seed = 1;
    for (let step = 0; step < 400; step++) {
      seed = (seed * 48271) % 2147483647;
      const frame = seed % 40;
      if (step % 3) {
        spans = extended(spans, frame);
        set.add(frame);
      } else {
        spans = without(spans, [[frame, frame + 2]]);
        for (const gone of [frame, frame + 1, frame + 2]) set.delete(gone);
      }
      expect(frames(spans)).toEqual([...set].sort((a, b) => a - b));
      expect(countOf(spans)).toBe(set.size);
    }
  });

  it("have a frame nearest to another, in either direction", () => {
    const spans: Span[] = [[2, 5], [9, 12]];
    expect(nearest(spans, 7, false)).toBe(5);
    expect(nearest(spans, 4, false)).toBe(4);
    expect(nearest(spans, 1, false)).toBeUndefined();
    expect(nearest(spans, 7, true)).toBe(9);
    expect(nearest(spans, 12, true)).toBe(12);
    expect(nearest(spans, 13, true)).toBeUndefined();
  });
});

it("writes times as clocks do", () => {
  expect([clock(0), clock(7.25), clock(61.5), clock(600)]).toEqual(["0:00.00", "0:07.25", "1:01.50", "10:00.00"]);
});
