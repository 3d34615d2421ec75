// Embeds a few texts and shows how alike they are.

import { post } from "./api.js";
import { byId, element, lines, millis, onSubmit } from "./dom.js";

const cosine = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

function heatMap(texts, vectors) {
  const head = element("tr", {}, element("th"), ...texts.map((_, i) => element("th", { scope: "col" }, String(i + 1))));
  const rows = texts.map((text, i) => {
    const cells = vectors.map((other) => {
      const likeness = cosine(vectors[i], other);
      const cell = element("td", {}, likeness.toFixed(2));
      cell.style.background = `rgba(var(--heat), ${Math.max(0, likeness) * 0.6})`;
      return cell;
    });
    return element("tr", {}, element("th", { scope: "row", title: text }, `${i + 1}  ${text}`), ...cells);
  });
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
}

export function start() {
  onSubmit(document.querySelector("#embeddings form"), async () => {
    const texts = lines(byId("embed-texts").value);
    const began = performance.now();
    const reply = await post("/v1/embeddings", { input: texts, model: byId("embed-model").value || undefined });
    const took = performance.now() - began;
    const vectors = reply.data.map((entry) => entry.embedding);
    byId("embed-summary").textContent =
      `${vectors.length} × ${vectors[0].length} by ${reply.model}, ${reply.usage.total_tokens} tokens, ${millis(took)}`;
    byId("heat-map").replaceChildren(heatMap(texts, vectors));
  });
}
