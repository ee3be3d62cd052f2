/** Icons of the video page, on the same grid of 20 as those of ui/icons. */
import type { ComponentChildren } from "preact";

function icon(children: ComponentChildren) {
  return () => (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      {children}
    </svg>
  );
}

export const Play = icon(<path d="M6.500 4.200v11.600l9-5.800z" fill="currentColor" />);
export const Pause = icon(<path d="M7 4.500v11M13 4.500v11" stroke-width="2.600" />);
export const StepNext = icon(<path d="m6 5 6.500 5L6 15zM14.500 5v10" />);
export const StepPrevious = icon(<path d="m14 5-6.500 5 6.500 5zM5.500 5v10" />);
export const MarkNext = icon(<path d="M3.500 10h6M7 7l3 3-3 3M14 6.500l3 3.500-3 3.500-3-3.500z" />);
export const MarkPrevious = icon(<path d="M16.500 10h-6M13 7l-3 3 3 3M6 6.500 3 10l3 3.500L9 10z" />);
export const Forward = icon(<path d="M3.500 10h12M11 5.500l4.500 4.500-4.500 4.500" />);
export const Backward = icon(<path d="M16.500 10h-12M9 5.500 4.500 10 9 14.500" />);
export const Both = icon(<path d="M3 10h14M6.500 6.500 3 10l3.500 3.500M13.500 6.500 17 10l-3.500 3.500" />);
export const Film = icon(
  <>
    <rect x="2.800" y="4.500" width="14.400" height="11" rx="1.800" />
    <path d="M6.300 4.500v11M13.700 4.500v11M2.800 8.200h3.500M2.800 11.800h3.500M13.700 8.200h3.500M13.700 11.800h3.500" />
  </>,
);
