// Ranks documents; the bars grow and change places as scores stream in.

import { frames } from "./api.js";
import { byId, element, lines, millis, onSubmit } from "./dom.js";

/** Where a score lies between the lowest and the highest so far, in percent; the lowest keeps a sliver. */
function width(score, scores) {
  const low = Math.min(0, ...scores);
  const high = Math.max(...scores, low + 1e-9);
  return Math.max(1, ((score - low) / (high - low)) * 100);
}

function draw(texts, scored) {
  const best = [...scored].sort(([i, a], [j, b]) => b - a || i - j);
  const values = best.map(([, score]) => score);
  byId("bars").replaceChildren(
    ...best.map(([index, score]) => {
      const bar = element("div", { className: "bar" });
      bar.style.width = `${width(score, values)}%`;
      return element("li", {}, element("span", { className: "score" }, score.toFixed(4)), texts[index], bar);
    }),
  );
}

export function start() {
  let running = null;
  byId("rerank-stop").addEventListener("click", () => running?.abort());
  onSubmit(document.querySelector("#rerank form"), async () => {
    const texts = lines(byId("rerank-texts").value);
    const body = { query: byId("rerank-query").value, documents: texts, model: byId("rerank-model").value || undefined };
    const scored = new Map();
    const began = performance.now();
    let model = "";
    running = new AbortController();
    byId("rerank-stop").disabled = false;
    byId("bars").replaceChildren();
    try {
      for await (const frame of frames("/v1/rerank", body, running.signal)) {
        if (frame.type === "error") throw new Error(`${frame.code}: ${frame.message}`);
        if (frame.type === "start") model = frame.model;
        if (frame.type !== "partial") continue;
        frame.results.forEach(({ index, score }) => scored.set(index, score));
        byId("rerank-summary").textContent = `${frame.done} of ${texts.length} by ${model}, ${millis(performance.now() - began)}`;
        draw(texts, scored);
      }
    } catch (failure) {
      if (failure.name !== "AbortError") throw failure;
      byId("rerank-summary").textContent = `stopped after ${scored.size} of ${texts.length}`;
    } finally {
      running = null;
      byId("rerank-stop").disabled = true;
    }
  });
}
