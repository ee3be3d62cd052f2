/** Colours that are told apart: one lightness, hues a golden angle apart, as anymask/colors.py makes them. */

const LIGHTNESS = 0.72;
const CHROMA = 0.19;
const FIRST_HUE = 355;
const GOLDEN_ANGLE = 137.50776;

/** The colour number `index` (from 0) as #rrggbb. */
export function colorOf(index: number): string {
  const hue = ((FIRST_HUE + GOLDEN_ANGLE * index) * Math.PI) / 180;
  const a = CHROMA * Math.cos(hue);
  const b = CHROMA * Math.sin(hue);
  const l = (LIGHTNESS + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (LIGHTNESS - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (LIGHTNESS - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return `#${linear.map((value) => hex(toSrgb(Math.min(1, Math.max(0, value))))).join("")}`;
}

function toSrgb(value: number): number {
  return value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055;
}

function hex(value: number): string {
  return Math.round(value * 255)
    .toString(16)
    .padStart(2, "0");
}

/** Red, green and blue, 0 to 255, of #rrggbb. */
export function parseColor(color: string): [number, number, number] {
  const value = parseInt(color.slice(1), 16) || 0;
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}
