// The list of results. Candidates stand in the order of the hybrid search; as scores arrive, those that have one
// go to the top, best first. At most one rearrangement a frame, and what is far down waits for "show all".

import { byId, element } from "./dom.js";

const SHOWN = 10;

/** The text with its words marked that begin with one of the query's. */
function marked(text, words) {
  if (words.length === 0) return [text];
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  return text
    .split(new RegExp(`(?<![\\p{L}\\p{N}])(${pattern})`, "giu"))
    .map((part, at) => (at % 2 === 1 ? element("mark", {}, part) : part));
}

export class Results {
  #entries = [];
  #scores = new Map();
  #order = [];
  #shown = SHOWN;
  #drawing = false;

  constructor() {
    byId("more").addEventListener("click", () => {
      this.#shown = Infinity;
      this.#draw();
    });
  }

  /** Shows hits, best first. */
  show(hits, query) {
    const words = query.match(/[\p{L}\p{N}]{4,}/gu) ?? [];
    this.#scores.clear();
    this.#shown = SHOWN;
    this.#entries = hits.map((hit, index) => this.#entry(hit, index, words));
    this.#order = hits.map((_, index) => index);
    byId("results").replaceChildren();
    this.#draw();
  }

  #entry(hit, index, words) {
    const found = [
      hit.lexical_rank && `words #${hit.lexical_rank}`,
      hit.vector_rank && `vectors #${hit.vector_rank}`,
    ].filter(Boolean);
    const parts = {
      rank: element("span", { className: "number" }),
      moved: element("span", { className: "moved" }),
      score: element("span", { className: "score" }, found.join(" · ")),
      strength: element("div"),
    };
    const item = element(
      "li",
      { className: "waiting", tabIndex: -1 },
      element("div", { className: "rank" }, parts.rank, parts.moved),
      element("div", { className: "where" }, element("span", { className: "path" }, hit.path), parts.score),
      ...(hit.heading ? [element("h3", {}, ...marked(hit.heading, words))] : []),
      element("div", { className: "text" }, ...marked(hit.text, words)),
      element("div", { className: "strength" }, parts.strength),
    );
    return { item, found, fused: index, ...parts };
  }

  /** Takes scores, by index. */
  score(scored) {
    scored.forEach(({ index, score }) => this.#scores.set(index, score));
    this.#later();
  }

  /** Takes the final ranking. */
  finish(ranking) {
    this.#order = ranking;
    this.#draw();
  }

  #later() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#order = this.#entries
        .map((_, index) => index)
        .sort((a, b) => (this.#scores.get(b) ?? -Infinity) - (this.#scores.get(a) ?? -Infinity) || a - b);
      this.#draw();
    });
  }

  #draw() {
    const list = byId("results");
    const before = new Map([...list.children].map((item) => [item, item.getBoundingClientRect().top]));
    const values = [...this.#scores.values()];
    const low = Math.min(0, ...values);
    const high = Math.max(...values, low + 1e-9);
    const shown = this.#order.slice(0, this.#shown);
    const focused = document.activeElement;
    shown.forEach((index, at) => {
      const entry = this.#entries[index];
      const score = this.#scores.get(index);
      const gain = entry.fused - at;
      entry.rank.textContent = at + 1;
      entry.item.classList.toggle("waiting", score === undefined);
      if (score !== undefined) {
        entry.moved.textContent = gain === 0 ? "=" : gain > 0 ? `▲${gain}` : `▼${-gain}`;
        entry.moved.title = `was ${entry.fused + 1} before reranking`;
        entry.score.textContent = [...entry.found, score.toFixed(4)].join(" · ");
        entry.strength.style.width = `${Math.max(1, ((score - low) / (high - low)) * 100)}%`;
      }
    });
    list.replaceChildren(...shown.map((index) => this.#entries[index].item));
    if (list.contains(focused)) focused.focus({ preventScroll: true });
    list.querySelectorAll("li").forEach((item, at) => (item.tabIndex = at === 0 ? 0 : -1));
    byId("more").hidden = shown.length === this.#order.length;
    byId("more").textContent = `Show all ${this.#order.length}`;
    this.#glide(list, before);
  }

  /** Lets what has changed places glide from where it was. */
  #glide(list, before) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const moved = [...list.children]
      .filter((item) => before.has(item))
      .map((item) => [item, before.get(item) - item.getBoundingClientRect().top])
      .filter(([, distance]) => distance !== 0);
    moved.forEach(([item, distance]) => {
      item.style.transition = "none";
      item.style.transform = `translateY(${distance}px)`;
    });
    requestAnimationFrame(() =>
      moved.forEach(([item]) => {
        item.style.transition = "";
        item.style.transform = "";
      }),
    );
  }

  /** Moves the focus between the field and the results. */
  move(event) {
    const items = [...byId("results").children];
    const at = items.indexOf(document.activeElement);
    if (items.length === 0 || (at < 0 && document.activeElement !== byId("query"))) return;
    event.preventDefault();
    const to = at + (event.key === "ArrowDown" ? 1 : -1);
    (to < 0 ? byId("query") : items[Math.min(to, items.length - 1)]).focus();
  }
}
