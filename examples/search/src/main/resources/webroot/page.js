// The page: asks, shows the answer as it is made, and follows indexing.

import { follow } from "./indexing.js";
import { byId } from "./dom.js";
import { Results } from "./results.js";
import { showPhases } from "./phases.js";

const results = new Results();
let events = null;

function fail(message) {
  byId("failure").hidden = message === null;
  byId("failure").textContent = message ?? "";
}

function stop() {
  events?.close();
  events = null;
}

function ask(query) {
  stop();
  fail(null);
  history.replaceState(null, "", `?q=${encodeURIComponent(query)}`);
  document.title = `${query} · Search`;
  byId("summary").textContent = "searching…";
  const asked = new EventSource(`search?${new URLSearchParams({ q: query })}`);
  events = asked;
  const on = (name, action) => asked.addEventListener(name, (event) => action(JSON.parse(event.data)));
  on("candidates", ({ hits, documents, chunks, millis }) => {
    results.show(hits, query);
    showPhases(millis);
    byId("summary").textContent =
      hits.length === 0
        ? documents === 0
          ? "nothing is indexed yet"
          : `nothing found in ${documents} documents`
        : `${hits.length} of ${chunks} passages in ${documents} documents; reranking…`;
  });
  on("scores", ({ results: scored }) => results.score(scored));
  on("end", ({ ranking, model, method, millis }) => {
    stop();
    results.finish(ranking);
    showPhases(millis);
    if (ranking.length > 0) {
      byId("summary").textContent = `${ranking.length} passages reranked by ${model} (${method.replace("_", "-").toLowerCase()})`;
    }
  });
  on("failure", ({ message, retryable }) => {
    stop();
    byId("summary").textContent = "";
    fail(retryable ? `${message}; try again in a moment` : message);
  });
  asked.addEventListener("error", () => {
    if (events === asked) {
      stop();
      byId("summary").textContent = "";
      fail("the server does not answer");
    }
  });
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const query = byId("query").value.trim();
  if (query) ask(query);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && document.activeElement !== byId("query")) {
    event.preventDefault();
    byId("query").select();
  } else if (event.key === "Escape" && events) {
    stop();
    byId("summary").textContent = "stopped";
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    results.move(event);
  }
});

follow(fail);
const asked = new URLSearchParams(location.search).get("q");
if (asked) {
  byId("query").value = asked;
  ask(asked);
}
