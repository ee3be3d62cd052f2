/** The live connection: prompts go out, masks come back, only the newest counts.
 *
 * One message is on the way at a time; of those asked meanwhile only the newest is kept. A connection that breaks is
 * opened again by itself, and the newest unanswered message is sent again.
 */
import { signal } from "@preact/signals";
import { ApiError, pause } from "./http";
import type { LiveAnswer, LiveRequest } from "./types";

export type LiveStatus = "closed" | "connecting" | "open" | "waiting";

interface Asked {
  seq: number;
  request: LiveRequest;
  settle: (answer: LiveAnswer | null) => void;
  fail: (error: Error) => void;
}

const FIRST_DELAY = 250;
const LONGEST_DELAY = 8000;
const ANSWER_TIMEOUT = 30000;

export class LiveClient {
  readonly status = signal<LiveStatus>("closed");
  private socket: WebSocket | null = null;
  private seq = 0;
  private sent: Asked | null = null;
  private waiting: Asked | null = null;
  private delay = FIRST_DELAY;
  private timer = 0;
  private wanted = false;

  constructor(private readonly path = "/api/live") {}

  /** Opens the connection and keeps it open. */
  open(): void {
    this.wanted = true;
    if (this.socket) return;
    clearTimeout(this.timer);
    const url = new URL(this.path, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.status.value = "connecting";
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => {
      this.delay = FIRST_DELAY;
      this.status.value = "open";
      // What was on the way when the connection broke is asked again, unless something newer waits.
      const again = this.waiting ?? this.sent;
      if (this.sent && this.sent !== again) this.sent.settle(null);
      this.sent = this.waiting = null;
      if (again) this.send(again);
    };
    socket.onmessage = (event) => this.receive(JSON.parse(event.data as string));
    socket.onclose = () => {
      this.socket = null;
      if (!this.wanted) return void (this.status.value = "closed");
      this.status.value = "waiting";
      this.timer = window.setTimeout(() => this.open(), this.delay * (0.75 + Math.random() / 2));
      this.delay = Math.min(LONGEST_DELAY, this.delay * 2);
    };
  }

  /** Closes the connection; what is on the way gets no answer. */
  close(): void {
    this.wanted = false;
    clearTimeout(this.timer);
    this.socket?.close();
    this.drop();
  }

  /** The answer to a prompt, or null where a newer one overtook it. Throws ApiError with the server's sentence. */
  ask(request: LiveRequest): Promise<LiveAnswer | null> {
    this.open();
    return new Promise((settle, fail) => {
      const asked: Asked = { seq: ++this.seq, request, settle, fail };
      this.waiting?.settle(null);
      this.waiting = asked;
      if (!this.sent && this.status.value === "open") {
        this.waiting = null;
        this.send(asked);
      }
    });
  }

  /** Forgets what waits and what is on the way. */
  drop(): void {
    this.waiting?.settle(null);
    this.waiting = null;
    if (this.sent) this.sent.settle(null);
  }

  private send(asked: Asked): void {
    this.sent = asked;
    this.socket?.send(JSON.stringify({ seq: asked.seq, ...asked.request }));
    void pause(ANSWER_TIMEOUT).then(() => {
      // A connection that neither answers nor breaks is given up and opened anew.
      if (this.sent === asked) this.socket?.close();
    });
  }

  private receive(message: { seq: number; error?: string; status?: number; pong?: boolean } & Partial<LiveAnswer>): void {
    if (message.pong) return;
    const asked = this.sent;
    if (!asked || message.seq !== asked.seq) return;
    this.sent = null;
    if (message.error !== undefined) asked.fail(new ApiError(message.status ?? 500, message.error));
    else asked.settle(message as LiveAnswer);
    const next = this.waiting;
    if (next && !this.sent) {
      this.waiting = null;
      this.send(next);
    }
  }
}
