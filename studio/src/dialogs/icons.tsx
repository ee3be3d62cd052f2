/** Icons of panels and dialogs, on the same grid of 20 as those of ui/icons. */
import type { ComponentChildren } from "preact";

function icon(children: ComponentChildren) {
  return () => (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      {children}
    </svg>
  );
}

export const Copy = icon(
  <>
    <rect x="7" y="7" width="9.5" height="9.5" rx="1.6" />
    <path d="M13 7V5.100a1.600 1.600 0 0 0-1.600-1.600H5.100a1.600 1.600 0 0 0-1.600 1.600v6.300A1.600 1.600 0 0 0 5.100 13H7" />
  </>,
);
export const Gear = icon(
  <>
    <path d="M3.500 6h7M14.500 6h2M3.500 14h2M9.500 14h7" />
    <circle cx="12.500" cy="6" r="2" />
    <circle cx="7.500" cy="14" r="2" />
  </>,
);
export const Info = icon(
  <>
    <circle cx="10" cy="10" r="7" />
    <path d="M10 9.200v4.300M10 6.600h0" />
  </>,
);
export const Keyboard = icon(
  <>
    <rect x="2.500" y="5" width="15" height="10" rx="1.800" />
    <path d="M5.500 8.200h0M8.500 8.200h0M11.500 8.200h0M14.500 8.200h0M7 12h6" />
  </>,
);
export const Next = icon(<path d="m8 4.500 5.500 5.500L8 15.500" />);
export const Previous = icon(<path d="M12 4.500 6.500 10l5.500 5.500" />);
export const NextUndone = icon(
  <>
    <path d="m4 5 5 5-5 5" />
    <circle cx="14" cy="10" r="2.600" />
  </>,
);
export const Back = icon(<path d="M8.500 5 3.500 10l5 5M4 10h12.500" />);
export const Hand = icon(<path d="M4 12.500 8.500 5l2 1.200-1.800 3.300h6.800v6H7.200z" />);
export const Cloud = icon(<path d="M6 15.500a3.300 3.300 0 0 1-.4-6.600A4.700 4.700 0 0 1 14.600 8a3.700 3.700 0 0 1-.2 7.500z" />);
export const CloudOff = icon(<path d="M6 15.500a3.300 3.300 0 0 1-.4-6.600l.6-1.200M9 5.400A4.700 4.700 0 0 1 14.600 8a3.700 3.700 0 0 1 2 5.600M3.500 3.500l13 13M6 15.500h8.400" />);
export const Warning = icon(<path d="M10 3.500 17.300 16H2.700zM10 8.500v3.700M10 14.200h0" />);
