/** Dark or light: what the system says, until the person says otherwise. */
import { effect, signal } from "@preact/signals";

export type Theme = "dark" | "light";

const STORED = "anymask.theme";
const system = window.matchMedia("(prefers-color-scheme: light)");

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(STORED);
    return value === "dark" || value === "light" ? value : null;
  } catch {
    return null;
  }
}

const chosen = signal<Theme | null>(stored());
export const theme = signal<Theme>("dark");

function settle(): void {
  theme.value = chosen.value ?? (system.matches ? "light" : "dark");
}

system.addEventListener("change", settle);
effect(settle);
effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

export function toggleTheme(): void {
  chooseTheme(theme.value === "dark" ? "light" : "dark");
}

/** What the person chose; null where the system decides. */
export function chosenTheme(): Theme | null {
  return chosen.value;
}

/** Chooses a theme; null leaves it to the system. */
export function chooseTheme(wanted: Theme | null): void {
  chosen.value = wanted;
  try {
    if (wanted) localStorage.setItem(STORED, wanted);
    else localStorage.removeItem(STORED);
  } catch {
    // No storage: the choice lasts as long as the page.
  }
}
