// Where the time of a query went.

import { byId, element, millis } from "./dom.js";

const PHASES = [
  ["embed", "embed the query"],
  ["lexical", "words (BM25)"],
  ["vector", "vectors (HNSW)"],
  ["fusion", "fuse"],
  ["rerank", "rerank"],
];

export function showPhases(timing) {
  const known = PHASES.filter(([phase]) => phase in timing);
  byId("bar").replaceChildren(
    ...known.map(([phase]) => {
      const part = element("span", { className: phase });
      part.style.flexGrow = timing[phase];
      return part;
    }),
  );
  const entry = (name, label, count) =>
    element("div", { className: name }, element("dt", {}, label), element("dd", {}, millis(count)));
  byId("legend").replaceChildren(
    ...known.map(([phase, label]) => entry(phase, label, timing[phase])),
    ...("first_score" in timing ? [entry("plain", "first score after", timing.first_score)] : []),
    ...("total" in timing ? [entry("plain", "total", timing.total)] : []),
  );
  byId("phases").hidden = false;
}
