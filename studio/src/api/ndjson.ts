/** Answers that come line by line. */

/** The parsed lines of a response of `application/x-ndjson`, as they arrive. Leaving the loop closes the connection. */
export async function* ndjson<T>(response: Response): AsyncGenerator<T> {
  if (!response.body) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim()) yield JSON.parse(line) as T;
      if (done) {
        if (rest.trim()) yield JSON.parse(rest) as T;
        return;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
