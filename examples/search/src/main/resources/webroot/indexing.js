// Follows indexing, and starts it again.

import { byId, element } from "./dom.js";

function show(progress) {
  const { state, message, found, unchanged, indexed, skipped, problems } = progress;
  const bar = byId("indexing-progress");
  byId("indexing-message").textContent = message;
  byId("indexing-message").dataset.state = state;
  byId("index-again").disabled = state === "STARTING" || state === "INDEXING";
  bar.hidden = state !== "INDEXING";
  bar.max = Math.max(1, found);
  bar.value = unchanged + indexed;
  byId("problems").hidden = skipped === 0;
  const more = skipped - problems.length;
  byId("problems").querySelector("summary").textContent = `${skipped} not indexed`;
  byId("problems")
    .querySelector("ul")
    .replaceChildren(
      ...problems.map(({ path, reason }) => element("li", {}, element("strong", {}, path), ` ${reason}`)),
      ...(more > 0 ? [element("li", {}, `and ${more} more: see the console`)] : []),
    );
}

export function follow(fail) {
  const events = new EventSource("progress");
  events.addEventListener("progress", (event) => show(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    byId("indexing-message").textContent = "connecting…";
  });
  byId("index-again").addEventListener("click", async () => {
    try {
      const response = await fetch("index", { method: "POST" });
      fail(response.ok ? null : (await response.json()).message);
    } catch {
      fail("the server does not answer");
    }
  });
}
