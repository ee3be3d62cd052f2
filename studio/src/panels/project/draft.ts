/** Saving: what a person made of an item, on its way to the server, however long that takes. */
import { signal } from "@preact/signals";
import { api, ApiError } from "../../api";
import { adopt as adoptEntries, drop, put, release } from "./queue";
import { merged, sameContent, type Content } from "./records";

export type SaveState = "saved" | "waiting" | "saving" | "offline" | "conflict" | "error";
export interface Theirs extends Content {
  revision: number;
}

const DELAY = 600;
const KEEP_DELAY = 100;
const LONGEST_WAIT = 15000;

export const draftEvents = {
  /** The server has it. */
  saved: (_draft: Draft): void => {},
  /** The content is another one than the document: the other version was taken, or both were merged. */
  replaced: (_draft: Draft, _title: string): void => {},
  conflict: (_draft: Draft): void => {},
};

/** One item's content and the way it goes to the server. Nothing is ever saved over a revision it is not based on. */
export class Draft {
  readonly state = signal<SaveState>("saved");
  readonly problem = signal("");
  /** The other version, while the person has to choose. */
  readonly theirs = signal<Theirs | null>(null);
  private version = 0;
  private done = 0;
  private failures = 0;
  private running = false;
  private timer = 0;
  private keeper = 0;
  private sent: Content[] = [];
  /** The browser has no room or no store for it: the page must not be left without a warning. */
  exposed = false;

  constructor(
    readonly project: string,
    readonly name: string,
    public revision: number,
    public content: Content,
  ) {}

  get dirty(): boolean {
    return this.version !== this.done;
  }

  /** Saves this a moment later. */
  change(content: Content): void {
    this.content = content;
    this.version++;
    this.keepSoon();
    if (this.theirs.value) return;
    if (this.state.value !== "offline") this.state.value = "waiting";
    this.later(this.state.value === "offline" ? this.delay() : DELAY);
  }

  /** Saves now what is not saved; also what waits for the server to come back. */
  flush(): void {
    this.keep();
    if (this.dirty && !this.theirs.value) void this.run();
  }

  /** Starts with what another window, or this one before a reload, could not save. */
  resume(content: Content, sent: Content[]): void {
    this.sent = sent;
    this.content = content;
    this.version++;
    this.keep();
    void this.run();
  }

  /** Ends a conflict. */
  resolve(how: "mine" | "theirs" | "both"): void {
    const theirs = this.theirs.value;
    if (!theirs) return;
    this.theirs.value = null;
    this.revision = theirs.revision;
    this.sent = [];
    if (how === "theirs") {
      this.content = { status: theirs.status, objects: theirs.objects };
      this.finish(this.version);
      draftEvents.replaced(this, "Take the other version");
      return;
    }
    if (how === "both") {
      this.content = merged(this.content, theirs);
      draftEvents.replaced(this, "Keep both versions");
    }
    this.version++;
    this.keep();
    void this.run();
  }

  /** The server has another revision and there is nothing of ours to lose. */
  follow(revision: number, content: Content): void {
    this.revision = revision;
    this.content = content;
    draftEvents.replaced(this, "Changed in another window");
  }

  private async run(): Promise<void> {
    if (this.running) return;
    clearTimeout(this.timer);
    this.running = true;
    try {
      while (this.dirty && !this.theirs.value) {
        const { version, content } = this;
        if (this.state.value !== "offline") this.state.value = "saving";
        // Remembered before it is answered: the answer may be lost, and the page may be reloaded meanwhile.
        this.sent = [...this.sent.filter((one) => one !== content), content].slice(-5);
        try {
          const { revision } = await api.projects.save(this.project, this.name, { revision: this.revision, ...content });
          this.revision = revision;
          this.sent = [];
          this.finish(version);
        } catch (error) {
          if (!this.failed(error, version, content)) return;
        }
      }
    } finally {
      this.running = false;
    }
  }

  /** True where it can go on at once. */
  private failed(error: unknown, version: number, content: Content): boolean {
    const problem = error instanceof ApiError ? error : new ApiError(0, String(error));
    const { status, body } = problem;
    if (status === 409 && typeof body.revision === "number") {
      const theirs = body as unknown as Theirs;
      if (sameContent(theirs, content)) {
        // Our own save, whose answer was lost; or somebody made the very same.
        this.revision = theirs.revision;
        this.finish(version);
        return true;
      }
      if (this.sent.some((one) => sameContent(theirs, one))) {
        this.revision = theirs.revision;
        this.sent = [];
        return true;
      }
      this.theirs.value = { revision: theirs.revision, status: theirs.status, objects: theirs.objects };
      this.state.value = "conflict";
      this.keep();
      draftEvents.conflict(this);
      return false;
    }
    this.problem.value = problem.message;
    const passes = status === 0 || status === 401 || status === 408 || status === 429 || status >= 500;
    this.state.value = status !== 507 && passes ? "offline" : "error";
    this.failures++;
    this.keep();
    // Errors that stay (an item that is gone, a full disk) are tried again as well, but seldom.
    this.later(passes ? this.delay() : LONGEST_WAIT * 2);
    return false;
  }

  private delay(): number {
    return Math.min(LONGEST_WAIT, 1000 * 2 ** Math.max(0, this.failures - 1));
  }

  private later(milliseconds: number): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.run(), milliseconds);
  }

  private finish(version: number): void {
    this.done = version;
    this.failures = 0;
    this.problem.value = "";
    this.state.value = this.dirty ? "waiting" : "saved";
    clearTimeout(this.keeper);
    this.keeper = 0;
    if (this.dirty) this.keep();
    else void drop(this.project, this.name);
    draftEvents.saved(this);
  }

  private keepSoon(): void {
    this.keeper ||= window.setTimeout(() => this.keep(), KEEP_DELAY);
  }

  private keep(): void {
    clearTimeout(this.keeper);
    this.keeper = 0;
    const { project, name, revision, content, sent } = this;
    if (!this.dirty) return;
    const version = this.version;
    void put({ project, name, revision, content, sent }).then((kept) => {
      this.exposed = !kept;
      // Saved while it was being written: nothing must be left that a later window would take for unsaved.
      if (!this.dirty && this.done >= version) void drop(project, name);
    });
  }
}

/** The drafts of this window: the open item's, and those that are not saved yet. */
export const drafts = signal<readonly Draft[]>([]);

export function draftOf(project: string, name: string): Draft | undefined {
  return drafts.value.find((draft) => draft.project === project && draft.name === name);
}

export function addDraft(draft: Draft): Draft {
  // Those that are saved and left are not needed any more.
  drafts.value = [...drafts.value.filter((one) => one.state.value !== "saved" || one.dirty), draft];
  return draft;
}

/** Takes over what closed windows could not save. */
export async function adopt(): Promise<void> {
  for (const entry of await adoptEntries()) {
    const { project, name, revision, content, sent } = entry;
    // One that this window works on itself stays for later: it is offered when this one is saved and the page opened again.
    if (draftOf(project, name)?.dirty) continue;
    const draft = new Draft(project, name, revision, content);
    drafts.value = [...drafts.value.filter((one) => one.project !== project || one.name !== name), draft];
    draft.resume(content, sent ?? []);
    await release(entry);
  }
}

addEventListener("beforeunload", (event) => {
  if (drafts.value.some((draft) => draft.dirty && draft.exposed)) event.preventDefault();
});
const flushAll = () => drafts.value.forEach((draft) => draft.flush());
addEventListener("online", flushAll);
addEventListener("pagehide", flushAll);
document.addEventListener("visibilitychange", flushAll);
