/** The icons, drawn on a grid of 20 with one line width. */
import type { ComponentChildren } from "preact";

function icon(children: ComponentChildren) {
  return () => (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      {children}
    </svg>
  );
}

export const Select = icon(<path d="M5 3.5 15.5 9l-4.6 1.6L8.6 15z" />);
export const PointTool = icon(
  <>
    <circle cx="10" cy="10" r="2.2" fill="currentColor" stroke="none" />
    <path d="M10 2.5v3.2M10 14.300v3.200M2.5 10h3.200M14.3 10h3.2" />
  </>,
);
export const BoxTool = icon(
  <>
    <path d="M4 7V4h3M13 4h3v3M16 13v3h-3M7 16H4v-3" />
    <path d="M4 10h0M16 10h0M10 4h0M10 16h0" stroke-width="2" />
  </>,
);
export const Brush = icon(
  <>
    <path d="M16.5 3.500c-4 2-6.8 4.8-8 7.500l1.6 1.600c2.6-1.3 5.3-4.5 6.4-9.100z" />
    <path d="M8 11.500c-2.3-.3-3.3 1-3.5 2.6-.1 1-.7 1.7-1.5 2 2.8 1 6.2.3 6.5-3.2" />
  </>,
);
export const Eraser = icon(
  <>
    <path d="m8.2 16.5-4.4-4.400a1.3 1.3 0 0 1 0-1.900l6.5-6.400a1.3 1.3 0 0 1 1.9 0l4 4a1.3 1.3 0 0 1 0 1.900l-6.8 6.800zM7 7l6.2 6.2" />
    <path d="M8.2 16.500H17" />
  </>,
);
export const Everything = icon(
  <>
    <circle cx="6.3" cy="6.3" r="2.8" />
    <rect x="11.3" y="3.6" width="5.2" height="5.2" rx="1.2" />
    <path d="m6.3 11.2 3 5.200h-6z" />
    <path d="M11.4 14c0-1.6 1.2-2.7 2.6-2.700s2.7 1 2.7 2.6-1.3 2.7-2.7 2.6-2.6-.9-2.6-2.500z" />
  </>,
);
export const Undo = icon(<path d="M7.5 4 3.8 7.700l3.7 3.700M4 7.700h7.600a4.2 4.2 0 0 1 0 8.400H8" />);
export const Redo = icon(<path d="m12.5 4 3.7 3.7-3.7 3.700M16 7.700H8.400a4.2 4.2 0 0 0 0 8.400H12" />);
export const Open = icon(
  <>
    <rect x="3" y="4" width="14" height="12" rx="2" />
    <path d="m3.5 14.5 4-4.3 3 3 2.2-2 3.8 3.6" />
    <circle cx="13" cy="7.7" r="1.1" />
  </>,
);
export const Folder = icon(<path d="M3 6.200A1.7 1.7 0 0 1 4.7 4.500h3l1.7 2h6A1.6 1.6 0 0 1 17 8.100v6a1.6 1.6 0 0 1-1.6 1.600H4.600A1.6 1.6 0 0 1 3 14.100z" />);
export const Fit = icon(<path d="M3.5 7.500v-4h4M12.5 3.500h4v4M16.5 12.500v4h-4M7.5 16.500h-4v-4" />);
export const Plus = icon(<path d="M10 4v12M4 10h12" />);
export const Minus = icon(<path d="M4 10h12" />);
export const Close = icon(<path d="m5 5 10 10M15 5 5 15" />);
export const Check = icon(<path d="m4 10.5 4 4L16 6" />);
export const Eye = icon(
  <>
    <path d="M2.5 10S5.2 5 10 5s7.5 5 7.5 5-2.7 5-7.5 5-7.5-5-7.5-5z" />
    <circle cx="10" cy="10" r="2.2" />
  </>,
);
export const EyeOff = icon(<path d="M3.5 3.500l13 13M8.2 5.200A7.5 7.5 0 0 1 10 5c4.8 0 7.5 5 7.5 5a13 13 0 0 1-2 2.600M12.7 14.400A7 7 0 0 1 10 15c-4.8 0-7.5-5-7.5-5A13 13 0 0 1 6 6.5" />);
export const Lock = icon(
  <>
    <rect x="4.5" y="9" width="11" height="7.5" rx="1.6" />
    <path d="M7 9V6.500a3 3 0 0 1 6 0V9" />
  </>,
);
export const Unlock = icon(
  <>
    <rect x="4.5" y="9" width="11" height="7.5" rx="1.6" />
    <path d="M7 9V6.300a3 3 0 0 1 5.8-1" />
  </>,
);
export const Trash = icon(<path d="M3.5 5.500h13M8 5.500V3.700h4v1.800M5.2 5.500l.7 10a1.3 1.3 0 0 0 1.3 1.200h5.600a1.3 1.3 0 0 0 1.3-1.200l.7-10M8.4 8.700v4.800M11.6 8.700v4.8" />);
export const Merge = icon(
  <>
    <rect x="3.5" y="3.5" width="9" height="9" rx="1.5" />
    <path d="M12.5 7.500H15A1.5 1.5 0 0 1 16.5 9v6a1.5 1.5 0 0 1-1.5 1.500H9A1.5 1.5 0 0 1 7.5 15v-2.5" />
  </>,
);
export const Edit = icon(<path d="m12.5 4.5 3 3L7 16l-3.5.5L4 13zM11 6l3 3" />);
export const Sun = icon(
  <>
    <circle cx="10" cy="10" r="3.2" />
    <path d="M10 2.500v1.700M10 15.800v1.700M2.5 10h1.700M15.8 10h1.700M4.7 4.700l1.2 1.200M14.1 14.100l1.2 1.200M4.7 15.300l1.2-1.200M14.1 5.900l1.2-1.2" />
  </>,
);
export const Moon = icon(<path d="M16.5 11.800A6.8 6.8 0 0 1 8.2 3.500a6.8 6.8 0 1 0 8.3 8.300z" />);
export const Help = icon(
  <>
    <circle cx="10" cy="10" r="7" />
    <path d="M7.9 8c.2-1.2 1-1.8 2.2-1.800s2.1.7 2.1 1.800c0 1.5-2.1 1.6-2.1 3.200M10.1 13.700h0" />
  </>,
);
export const Download = icon(<path d="M10 3.500v9M6.5 9.300l3.5 3.5 3.5-3.500M3.8 16.500h12.4" />);
export const Upload = icon(<path d="M10 12.500v-9M6.5 6.7 10 3.200l3.5 3.500M3.8 16.500h12.4" />);
export const Chevron = icon(<path d="m5.5 8 4.5 4.500L14.5 8" />);
export const Grip = icon(<path d="M7.5 5.500h0M7.5 10h0M7.5 14.500h0M12.5 5.500h0M12.5 10h0M12.5 14.500h0" stroke-width="2.2" />);
export const Background = icon(
  <>
    <path d="M3 13.5 13.5 3M3 8.5 8.5 3M4 17 17 4M9 17l8-8M14 17l3-3" stroke-width="1" />
    <circle cx="10" cy="8" r="2.6" fill="var(--surface)" />
    <path d="M4.8 17c.4-3.2 2.4-5 5.2-5s4.8 1.8 5.2 5z" fill="var(--surface)" />
  </>,
);
