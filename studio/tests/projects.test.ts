import { describe, expect, it } from "vitest";
import type { ObjectRecord, RLE } from "../src/api/types";
import { boxSpans, rleOf } from "../src/masks/rle";
import { docOf, merged, recordsOf, sameContent, type Content } from "../src/panels/project/records";

const square = (x: number): RLE => rleOf(boxSpans(x, 2, x + 4, 6, 20), 20, 40);
const object = (id: number, more: Partial<ObjectRecord> = {}): ObjectRecord => ({ id, rle: square(3 * id), name: `n${id}`, color: "#aa3300", ...more });
const content = (...objects: ObjectRecord[]): Content => ({ status: "started", objects });

describe("records of a project", () => {
  it("come back as they were saved", () => {
    const given = [object(3, { confirmed: true, hidden: true, source: "brush" }), object(1, { confirmed: true, locked: true, score: 0.5 })];
    const doc = docOf(given);
    expect(doc.items.map((item) => [item.id, item.area, item.box])).toEqual([
      [3, 25, [9, 2, 13, 6]],
      [1, 25, [3, 2, 7, 6]],
    ]);
    expect(doc.next).toBe(4);
    expect(recordsOf(doc.items)).toEqual(given);
  });

  it("leave what a model found unconfirmed until a person says so, and only that", () => {
    // The server does not write what is false.
    const doc = docOf([object(1, { source: "everything" }), object(2, { source: "everything", confirmed: true }), object(3, { source: "import" })]);
    expect(doc.items.map((item) => item.confirmed === false)).toEqual([true, false, false]);
    expect(recordsOf(doc.items).map((record) => record.confirmed)).toEqual([false, true, true]);
  });

  it("get numbers and colours of their own where those are missing or taken", () => {
    const doc = docOf([object(0, { color: undefined }), object(2), object(2), { ...object(5), rle: rleOf(new Uint32Array(), 20, 40) }]);
    expect(new Set(doc.items.map((item) => item.id)).size).toBe(3);
    expect(doc.items.every((item) => item.id > 0 && item.id < doc.next && /^#[0-9a-f]{6}$/.test(item.color))).toBe(true);
  });

  it("are the same whatever a server leaves out or writes in another way", () => {
    const mine = content(object(1, { hidden: false, confirmed: true, color: "#AA3300" }));
    expect(sameContent(mine, content({ id: 1, rle: square(3), name: "n1", color: "#aa3300", confirmed: true }))).toBe(true);
    expect(sameContent(mine, content(object(1, { confirmed: true, hidden: true })))).toBe(false);
    expect(sameContent(mine, content(object(1, { confirmed: true, name: "other" })))).toBe(false);
    expect(sameContent(mine, content({ ...object(1, { confirmed: true }), rle: square(9) }))).toBe(false);
    expect(sameContent(mine, { ...mine, status: "done" })).toBe(false);
    expect(sameContent(mine, content())).toBe(false);
  });
});

describe("two versions", () => {
  it("are merged without losing or doubling an object", () => {
    const mine = content(object(1), object(2, { name: "changed" }));
    const theirs: Content = { status: "done", objects: [object(1), object(2), object(7)] };
    const both = merged(mine, theirs);
    expect(both.status).toBe("started");
    expect(both.objects.map((one) => [one.id, one.name])).toEqual([
      [1, "n1"],
      [2, "changed"],
      [3, "n2"],
      [4, "n7"],
    ]);
    expect(both.objects[3].rle).toEqual(theirs.objects[2].rle);
    expect(merged(mine, mine).objects).toEqual(mine.objects);
  });
});
