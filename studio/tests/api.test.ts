import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, httpEvents, request, requestJson } from "../src/api/http";
import { ndjson } from "../src/api/ndjson";
import { LiveClient } from "../src/api/live";

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("requests", () => {
  it("fail with the server's sentence", async () => {
    vi.stubGlobal("fetch", async () => json(413, { error: "The file is too large." }));
    await expect(request("/x")).rejects.toMatchObject({ status: 413, message: "The file is too large." });
  });

  it("say so where the server cannot be reached", async () => {
    vi.stubGlobal("fetch", async () => {
      throw new TypeError("Failed to fetch");
    });
    await expect(request("/x")).rejects.toMatchObject({ status: 0, message: "The server cannot be reached." });
  });

  it("wait as long as a busy server asks, and try again", async () => {
    vi.useFakeTimers();
    const answers = [json(429, { error: "Busy." }, { "Retry-After": "3" }), json(503, { error: "Busy." }), json(200, { ok: 1 })];
    const fetched = vi.fn(async () => answers.shift()!);
    vi.stubGlobal("fetch", fetched);
    const waits: number[] = [];
    httpEvents.busy = (seconds) => waits.push(seconds);
    const answer = requestJson("/x", { json: { a: 1 } });
    await vi.advanceTimersByTimeAsync(2900);
    expect(fetched).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1200);
    expect(await answer).toEqual({ ok: 1 });
    expect(waits).toEqual([3, 1]);
  });

  it("stop waiting when they are aborted", async () => {
    vi.stubGlobal("fetch", async () => json(429, { error: "Busy." }, { "Retry-After": "20" }));
    const control = new AbortController();
    const answer = request("/x", { signal: control.signal });
    await new Promise((resolve) => setTimeout(resolve));
    control.abort();
    await expect(answer).rejects.toMatchObject({ name: "AbortError" });
  });
});

describe("lines", () => {
  const response = (...chunks: Uint8Array[]) =>
    new Response(
      new ReadableStream({
        start(controller) {
          chunks.forEach((chunk) => controller.enqueue(chunk));
          controller.close();
        },
      }),
    );

  it("are read however they are cut, in the middle of letters too", async () => {
    const bytes = new TextEncoder().encode('{"a":"größe"}\n\n{"b":2}\n{"c":3}');
    for (let cut = 0; cut <= bytes.length; cut++) {
      const lines = [];
      for await (const line of ndjson(response(bytes.slice(0, cut), bytes.slice(cut)))) lines.push(line);
      expect(lines).toEqual([{ a: "größe" }, { b: 2 }, { c: 3 }]);
    }
  });

  it("close the connection when the loop is left", async () => {
    const cancel = vi.fn();
    const body = new ReadableStream({ pull: (controller) => controller.enqueue(new TextEncoder().encode('{"n":1}\n')), cancel });
    for await (const _line of ndjson(new Response(body))) break;
    expect(cancel).toHaveBeenCalled();
  });
});

class FakeSocket {
  static all: FakeSocket[] = [];
  sent: { seq: number; picture: string }[] = [];
  onopen?: () => void;
  onclose?: () => void;
  onmessage?: (event: { data: string }) => void;
  constructor() {
    FakeSocket.all.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.onclose?.();
  }
  answer(message: object) {
    this.onmessage?.({ data: JSON.stringify({ masks: [], ...message }) });
  }
}

describe("the live connection", () => {
  beforeEach(() => {
    FakeSocket.all = [];
    vi.useFakeTimers();
    vi.stubGlobal("WebSocket", FakeSocket);
    vi.stubGlobal("location", { href: "http://localhost:7000/" });
    vi.stubGlobal("window", globalThis);
  });

  it("has one prompt on the way and keeps the newest of the others", async () => {
    const live = new LiveClient();
    const first = live.ask({ picture: "a" });
    const [socket] = FakeSocket.all;
    expect(socket.sent).toEqual([]);
    socket.onopen!();
    const second = live.ask({ picture: "b" });
    const third = live.ask({ picture: "c" });
    expect(socket.sent.map((one) => one.picture)).toEqual(["a"]);
    expect(await second).toBeNull();
    socket.answer({ seq: socket.sent[0].seq, picture: "a" });
    expect((await first)?.picture).toBe("a");
    expect(socket.sent.map((one) => one.picture)).toEqual(["a", "c"]);
    socket.answer({ seq: socket.sent[1].seq, picture: "c" });
    expect((await third)?.picture).toBe("c");
  });

  it("opens again after it broke and asks the newest once more", async () => {
    const live = new LiveClient();
    const lost = live.ask({ picture: "a" });
    FakeSocket.all[0].onopen!();
    const newest = live.ask({ picture: "b" });
    FakeSocket.all[0].close();
    expect(live.status.value).toBe("waiting");
    await vi.advanceTimersByTimeAsync(400);
    const socket = FakeSocket.all[1];
    socket.onopen!();
    expect(live.status.value).toBe("open");
    expect(await lost).toBeNull();
    expect(socket.sent.map((one) => one.picture)).toEqual(["b"]);
    socket.answer({ seq: socket.sent[0].seq, picture: "b" });
    expect((await newest)?.picture).toBe("b");
  });

  it("hands errors on with their status, and goes on", async () => {
    const live = new LiveClient();
    const asked = live.ask({ picture: "a" });
    const [socket] = FakeSocket.all;
    socket.onopen!();
    const failed = expect(asked).rejects.toEqual(new ApiError(410, "The picture is gone."));
    socket.answer({ seq: socket.sent[0].seq, error: "The picture is gone.", status: 410 });
    await failed;
    void live.ask({ picture: "b" });
    expect(socket.sent.length).toBe(2);
  });

  it("waits longer from try to try, up to eight seconds", async () => {
    const live = new LiveClient();
    live.open();
    for (let broken = 0; broken < 12; broken++) {
      FakeSocket.all.at(-1)!.close();
      await vi.advanceTimersByTimeAsync(10100);
    }
    expect(FakeSocket.all.length).toBe(13);
    FakeSocket.all.at(-1)!.close();
    await vi.advanceTimersByTimeAsync(5900);
    expect(FakeSocket.all.length).toBe(13);
  });
});
