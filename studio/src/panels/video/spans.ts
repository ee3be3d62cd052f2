/** Runs of frames, first and last of each, in rising order. */
export type Span = [first: number, last: number];

/** The runs with one more frame. */
export function extended(spans: readonly Span[], frame: number): Span[] {
  const made: Span[] = [];
  let added: Span = [frame, frame];
  for (const span of spans) {
    if (span[1] < added[0] - 1) made.push(span);
    else if (span[0] > added[1] + 1) {
      made.push(added);
      added = span;
    } else added = [Math.min(span[0], added[0]), Math.max(span[1], added[1])];
  }
  made.push(added);
  return made;
}

/** The runs without the frames of others. */
export function without(spans: readonly Span[], others: readonly Span[]): Span[] {
  let made: Span[] = [...spans];
  for (const [from, to] of others) {
    made = made.flatMap(([first, last]): Span[] => {
      if (to < first || from > last) return [[first, last]];
      const parts: Span[] = [];
      if (first < from) parts.push([first, from - 1]);
      if (last > to) parts.push([to + 1, last]);
      return parts;
    });
  }
  return made;
}

/** The frame of the runs that is nearest to one at or before it, or with `reverse` at or after it. */
export function nearest(spans: readonly Span[], frame: number, reverse: boolean): number | undefined {
  if (reverse) {
    const span = spans.find((one) => one[1] >= frame);
    return span && Math.max(span[0], frame);
  }
  const span = spans.filter((one) => one[0] <= frame).at(-1);
  return span && Math.min(span[1], frame);
}

/** How many frames the runs have. */
export function countOf(spans: readonly Span[]): number {
  return spans.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** 0:07.25 for seconds. */
export function clock(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, "0")}`;
}
