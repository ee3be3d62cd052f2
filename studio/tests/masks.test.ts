import { describe, expect, it } from "vitest";
import { readFileSync } from "node:fs";
import { colorOf } from "../src/masks/colors";
import { areaOf, boxOf, boxSpans, combine, contains, pack, rleOf, spansOf, toCounts, unpack, type Operation } from "../src/masks/rle";
import { rasterise, regionSpans, type Region } from "../src/masks/region";
import { strokeSpans } from "../src/masks/brush";
import { trace } from "../src/masks/trace";

interface Case {
  name: string;
  size: [number, number];
  counts: string;
  area: number;
  box: [number, number, number, number] | null;
  rows: string[] | null;
}
const fixtures = JSON.parse(readFileSync(new URL("rle.json", import.meta.url), "utf-8")) as { masks: Case[]; colors: string[] };

function fromRows(rows: string[]): Region {
  const bits = Uint8Array.from(rows.flatMap((row) => [...row].map((sign) => (sign === "#" ? 1 : 0))));
  return { x: 0, y: 0, width: rows[0].length, height: rows.length, bits };
}

function toRows(region: Region, height: number, width: number): string[] {
  const rows = Array.from({ length: height }, () => new Array<string>(width).fill("."));
  region.bits.forEach((bit, index) => {
    if (bit) rows[region.y + Math.floor(index / region.width)][region.x + (index % region.width)] = "#";
  });
  return rows.map((row) => row.join(""));
}

describe.each(fixtures.masks)("pycocotools' $name", ({ size, counts, area, box, rows }) => {
  const [height, width] = size;
  const spans = spansOf({ size, counts });

  it("has the same area and box", () => {
    expect(areaOf(spans)).toBe(area);
    expect(boxOf(spans, height)).toEqual(box);
  });

  it("is written as the same string", () => {
    expect(pack(unpack(counts))).toBe(counts);
    expect(rleOf(spans, height, width).counts).toBe(counts);
    expect(toCounts(spans, height * width).reduce((sum, count) => sum + count)).toBe(height * width);
  });

  if (rows) it("has the same pixels", () => {
    expect(toRows(rasterise(spans, height, width), height, width)).toEqual(rows);
    expect(regionSpans(fromRows(rows!), height)).toEqual(spans);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) expect(contains(spans, height, x, y)).toBe(rows![y][x] === "#");
    }
  });
});

describe("combining", () => {
  const noise = (seed: number): Region => {
    let state = seed;
    const bits = Uint8Array.from({ length: 17 * 13 }, () => ((state = (state * 1103515245 + 12345) & 0x7fffffff) >> 16) & 1);
    return { x: 0, y: 0, width: 17, height: 13, bits };
  };
  const rules: Record<Operation, (a: number, b: number) => number> = {
    union: (a, b) => a | b,
    subtract: (a, b) => a & ~b,
    intersect: (a, b) => a & b,
  };
  it.each(Object.keys(rules) as Operation[])("%s is the one of bitmaps", (operation) => {
    const a = noise(1);
    const b = noise(99);
    const expected = { ...a, bits: a.bits.map((bit, index) => rules[operation](bit, b.bits[index])) };
    expect(combine(regionSpans(a, 13), regionSpans(b, 13), operation)).toEqual(regionSpans(expected, 13));
  });
});

describe("reducing", () => {
  it("takes the pixel under the middle of each reduced one", () => {
    const mask = fixtures.masks.find((one) => one.name === "ring")!;
    const [height, width] = mask.size;
    for (const scale of [0.5, 0.37, 0.21]) {
      const small = toRows(rasterise(spansOf(mask), height, width, scale), Math.ceil(height * scale), Math.ceil(width * scale));
      small.forEach((row, y) =>
        [...row].forEach((sign, x) => {
          const row = Math.min(height - 1, Math.floor((y + 0.5) / scale));
          const column = Math.min(width - 1, Math.floor((x + 0.5) / scale));
          expect(sign).toBe(mask.rows![row][column]);
        }),
      );
    }
  });
});

describe("the brush", () => {
  const inside = (px: number, py: number, points: number[], radius: number) => {
    let least = Infinity;
    for (let i = 0; i < Math.max(1, points.length / 2 - 1); i++) {
      const [ax, ay] = points.slice(i * 2, i * 2 + 2);
      const [bx, by] = points.length > 2 ? points.slice(i * 2 + 2, i * 2 + 4) : [ax, ay];
      const length = (bx - ax) ** 2 + (by - ay) ** 2;
      const t = length ? Math.min(1, Math.max(0, ((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / length)) : 0;
      least = Math.min(least, Math.hypot(px - ax - t * (bx - ax), py - ay - t * (by - ay)));
    }
    return least <= radius;
  };
  it.each([
    { points: [20.3, 15.7], radius: 6.2 },
    { points: [5.1, 5.2, 33.3, 21.8, 12.2, 28.1], radius: 4.3 },
    { points: [-4.2, 10.1, 44.7, 10.1], radius: 3.3 },
  ])("covers the pixels within the radius: $points", ({ points, radius }) => {
    const spans = strokeSpans(points, radius, 40, 30);
    for (let y = 0; y < 30; y++) {
      for (let x = 0; x < 40; x++) expect(contains(spans, 30, x, y), `${x} ${y}`).toBe(inside(x + 0.5, y + 0.5, points, radius));
    }
  });
  it("never misses the pixel under the pointer", () => {
    expect(contains(strokeSpans([7.9, 3.1], 0.1, 10, 10), 10, 7, 3)).toBe(true);
  });
});

describe("outlines", () => {
  /** Even-odd filling of the loops. */
  const fill = (loops: Int32Array[], width: number, height: number) =>
    Array.from({ length: height }, (_, y) =>
      Array.from({ length: width }, (_, x) => {
        let crossings = 0;
        for (const loop of loops) {
          for (let i = 0; i < loop.length; i += 2) {
            const x0 = loop[i];
            const [y0, y1] = [loop[i + 1], loop[(i + 3) % loop.length]];
            if (loop[(i + 2) % loop.length] === x0 && x0 <= x && Math.min(y0, y1) <= y && y < Math.max(y0, y1)) crossings++;
          }
        }
        return crossings % 2 ? "#" : ".";
      }).join(""),
    );
  it.each(fixtures.masks.filter((mask) => mask.rows))("enclose exactly the mask: $name", ({ size, counts, rows }) => {
    const region = rasterise(spansOf({ size, counts }), ...size);
    expect(fill(trace(region), size[1], size[0])).toEqual(rows);
  });
  it("have corners only where they turn", () => {
    expect(trace(rasterise(boxSpans(2, 3, 6, 8, 20), 20, 20))).toEqual([Int32Array.from([7, 3, 7, 9, 2, 9, 2, 3])]);
  });
});

describe("colours", () => {
  it("are the ones of anymask/colors.py", () => {
    expect(fixtures.colors.map((_, index) => colorOf(index))).toEqual(fixtures.colors);
  });
});
