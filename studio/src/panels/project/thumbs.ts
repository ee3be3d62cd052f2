/** Small pictures of items: only of those in sight, a few at a time, the last few hundred kept. */
import { api } from "../../api";

const SIZE = 160;
const AT_ONCE = 3;
const KEPT = 400;

const known = new Map<string, string>();
const waiting = new Map<string, { project: string; name: string; tell: (url: string) => void }>();
let running = 0;

const keyOf = (project: string, name: string) => `${project}/${name}`;

/** The address of a thumbnail that is there already, or "". */
export function thumbnail(project: string, name: string): string {
  const key = keyOf(project, name);
  const url = known.get(key);
  if (!url) return "";
  known.delete(key);
  known.set(key, url);
  return url;
}

/** Asks for a thumbnail; the function that is given back withdraws the wish. */
export function want(project: string, name: string, tell: (url: string) => void): () => void {
  const key = keyOf(project, name);
  waiting.set(key, { project, name, tell });
  // A row that is only scrolled past is gone again before this.
  const timer = setTimeout(pump, 120);
  return () => {
    clearTimeout(timer);
    waiting.delete(key);
  };
}

function pump(): void {
  while (running < AT_ONCE && waiting.size) {
    // The newest wish first: it is what is looked at.
    const [key, wish] = [...waiting].pop()!;
    waiting.delete(key);
    running++;
    void fetchOne(key, wish).finally(() => {
      running--;
      pump();
    });
  }
}

async function fetchOne(key: string, { project, name, tell }: { project: string; name: string; tell: (url: string) => void }): Promise<void> {
  try {
    const url = URL.createObjectURL(await api.projects.image(project, name, SIZE));
    known.set(key, url);
    for (const [old, gone] of known) {
      if (known.size <= KEPT) break;
      known.delete(old);
      URL.revokeObjectURL(gone);
    }
    tell(url);
  } catch {
    // The row stays without; opening the item says what is wrong.
  }
}
