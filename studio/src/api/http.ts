/** Requests to the server: errors as sentences, waiting where it asks to wait. */

/** What the server refused, in its own sentence. `status` is 0 where it could not be reached at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly body: Record<string, unknown> = {},
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export interface RequestOptions {
  method?: string;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is; `json` and `body` exclude each other. */
  body?: BodyInit;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** What happens to requests besides their answers, for the status bar and the sign-in form. */
export const httpEvents = {
  /** The server is busy and the request is tried again after `seconds`. */
  busy: (_seconds: number): void => {},
  /** The server wants a key. */
  signIn: (): void => {},
};

const TRIES = 6;

/** True for what an AbortController did. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** A response of status 2xx. A busy server (429, 503) is asked again after the time it names.
 *
 * Throws ApiError with the server's sentence, or the AbortError of `signal`.
 */
export async function request(path: string, options: RequestOptions = {}): Promise<Response> {
  const headers: Record<string, string> = { ...options.headers };
  let body = options.body;
  if (options.json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(options.json);
  }
  for (let attempt = 1; ; attempt++) {
    let response: Response;
    try {
      response = await fetch(path, {
        method: options.method ?? (body === undefined ? "GET" : "POST"),
        headers,
        body,
        signal: options.signal,
      });
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new ApiError(0, "The server cannot be reached.");
    }
    if (response.ok) return response;
    if ((response.status === 429 || response.status === 503) && attempt < TRIES) {
      const seconds = Math.min(30, Math.max(0.2, Number(response.headers.get("Retry-After")) || 1));
      httpEvents.busy(seconds);
      await pause(seconds * 1000, options.signal);
      continue;
    }
    if (response.status === 401) httpEvents.signIn();
    throw await refusal(response);
  }
}

/** The JSON of a response. */
export async function requestJson<T>(path: string, options: RequestOptions = {}): Promise<T> {
  const response = await request(path, options);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** The ApiError of a response that is no success. */
export async function refusal(response: Response): Promise<ApiError> {
  let body: Record<string, unknown> = {};
  try {
    body = (await response.json()) as Record<string, unknown>;
  } catch {
    // No JSON: a proxy's page, or nothing.
  }
  const sentence = typeof body.error === "string" ? body.error : `The server answered with status ${response.status}.`;
  return new ApiError(response.status, sentence, body);
}

/** Resolves after `milliseconds`; rejects with the AbortError of `signal`. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", stop, { once: true });
  });
}
