// Requests to the server this page came from. A failure is an Error with the server's own message.

/** Where a path is; not relative to the page, whose own address may hold the user's key, which fetch refuses. */
export const at = (path) => new URL(path, location.origin);

async function refused(response) {
  const body = await response.json().catch(() => ({}));
  const error = body.error ?? body;
  return new Error(`${response.status}: ${error.message ?? body.message ?? error}`);
}

export async function get(path) {
  const response = await fetch(at(path));
  if (!response.ok) throw await refused(response);
  return response.json();
}

async function send(path, body, more, signal) {
  const response = await fetch(at(path), {
    method: "POST",
    headers: { "Content-Type": "application/json", ...more },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw await refused(response);
  return response;
}

export async function post(path, body) {
  return (await send(path, body)).json();
}

/** The frames of a streamed reply, as they come; ending the loop early or the signal cancels the request. */
export async function* frames(path, body, signal) {
  const response = await send(path, body, { Accept: "application/x-ndjson" }, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      const lines = (rest + (value ?? "")).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line) yield JSON.parse(line);
      }
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
