import { signal } from "@preact/signals";
import { describe, expect, it } from "vitest";
import { EMPTY_DOC, type Doc, type Item, type Pending } from "../src/doc";
import { History } from "../src/history";
import { pendingMask, withStroke } from "../src/masks/pending";
import { areaOf, boxSpans, rleOf, spansOf } from "../src/masks/rle";

const named = (name: string): Doc => ({ ...EMPTY_DOC, items: [{ id: 1, name } as Item] });

describe("the history", () => {
  it("goes back and forth, and forgets what was undone after a new change", () => {
    const doc = signal(EMPTY_DOC);
    const history = new History(doc);
    history.change("one", named("one"));
    history.change("two", named("two"));
    expect(history.undo()).toBe("two");
    expect(doc.value.items[0].name).toBe("one");
    expect(history.redo()).toBe("two");
    history.undo();
    history.change("three", named("three"));
    expect(history.redo()).toBeNull();
    expect(history.steps.value).toEqual({ undo: 2, redo: 0 });
  });

  it("counts a drag as one step, but not across other changes", () => {
    const doc = signal(EMPTY_DOC);
    const history = new History(doc);
    ["a", "b", "c"].forEach((name) => history.change("color", named(name), "drag"));
    expect(history.steps.value.undo).toBe(1);
    history.change("other", named("d"));
    history.change("color", named("e"), "drag");
    expect(history.steps.value.undo).toBe(3);
    history.undo();
    expect(doc.value.items[0].name).toBe("d");
  });

  it("is bounded in memory: old masks go first", () => {
    const doc = signal(EMPTY_DOC);
    const history = new History(doc);
    for (let step = 0; step < 60; step++) {
      const rle = { size: [10, 10] as [number, number], counts: "x".repeat(2 ** 20) };
      history.change("mask", { ...EMPTY_DOC, items: [{ id: 1, name: String(step), rle } as Item] });
    }
    const { undo } = history.steps.value;
    expect(undo).toBeGreaterThan(20);
    expect(undo).toBeLessThan(40);
    history.undo();
    expect(doc.value.items[0].name).toBe("58");
  });
});

describe("a mask in the making", () => {
  const box = (x0: number, y0: number, x1: number, y1: number) => rleOf(boxSpans(x0, y0, x1, y1, 20), 20, 20);
  const empty: Pending = {
    edits: null,
    prompt: { points: [], labels: [], box: null },
    candidates: [],
    chosen: 0,
    answered: null,
    base: null,
    plus: null,
    minus: null,
    color: "#ff0000",
    name: "",
  };
  const area = (pending: Pending) => {
    const rle = pendingMask(pending);
    return rle ? areaOf(spansOf(rle)) : 0;
  };

  it("keeps what the brush did when the model answers anew", () => {
    const mask = (rle: ReturnType<typeof box>) => ({ id: "m", score: 1, area: 0, box: [0, 0, 0, 0] as [number, number, number, number], rle });
    const first = withStroke({ ...empty, candidates: [mask(box(0, 0, 9, 9))] }, box(10, 0, 11, 9), false);
    expect(area(first)).toBe(120);
    expect(area({ ...first, candidates: [mask(box(0, 0, 4, 9))] })).toBe(70);
  });

  it("erases what was brushed and brushes what was erased", () => {
    const brushed = withStroke(empty, box(0, 0, 9, 9), false);
    const erased = withStroke(brushed, box(0, 0, 4, 9), true);
    expect(area(erased)).toBe(50);
    expect(area(withStroke(erased, box(0, 0, 0, 9), false))).toBe(60);
    expect(pendingMask(withStroke(erased, box(0, 0, 19, 19), true))).toBeNull();
  });
});
