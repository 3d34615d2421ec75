// Throughput, queue and latency, drawn from what the service's counters say every second.

import { get } from "./api.js";
import { byId, bytes, element, millis } from "./dom.js";
import { paths } from "./paths.js";

const SAMPLES = 120;
const HEIGHT = 100;
const SVG = "http://www.w3.org/2000/svg";

/** A chart of one or two series that share an axis from 0 to the largest value shown. */
class Chart {
  constructor(title, labels, format) {
    this.format = format;
    this.series = labels.map(() => []);
    this.values = labels.map((label, i) => element("span", { className: i === 0 ? "first" : "second" }, label));
    this.labels = labels;
    this.lines = labels.map(() => document.createElementNS(SVG, "polyline"));
    const picture = document.createElementNS(SVG, "svg");
    picture.setAttribute("viewBox", `0 0 ${SAMPLES - 1} ${HEIGHT}`);
    picture.setAttribute("preserveAspectRatio", "none");
    picture.setAttribute("aria-hidden", "true");
    picture.append(...this.lines);
    byId("charts").append(element("figure", {}, element("figcaption", {}, title, ...this.values), picture));
  }

  add(...values) {
    values.forEach((value, i) => {
      this.series[i].push(value);
      if (this.series[i].length > SAMPLES) this.series[i].shift();
      this.values[i].textContent = `${this.labels[i]} ${this.format(value)}`;
    });
    const top = Math.max(1e-9, ...this.series.flat());
    this.series.forEach((series, i) => {
      const first = SAMPLES - series.length;
      const points = series.map((value, x) => `${first + x},${HEIGHT - (value / top) * (HEIGHT - 4) - 2}`);
      this.lines[i].setAttribute("points", points.join(" "));
    });
  }
}

const whole = (value) => Math.round(value).toLocaleString();

export class Live {
  constructor() {
    this.throughput = new Chart("Throughput a second", ["texts"], whole);
    this.tokens = new Chart("Tokens a second", ["real", "padded"], whole);
    this.queue = new Chart("Queue", ["texts"], whole);
    this.embedding = new Chart("Embed latency", ["p50", "p99"], millis);
    this.ranking = new Chart("Rerank latency", ["p50", "p99"], millis);
    this.memory = new Chart("Resident memory", ["process"], bytes);
    this.before = null;
  }

  async sample() {
    const stats = await get(paths.stats);
    const now = performance.now();
    const { queue } = stats;
    if (this.before) {
      const seconds = (now - this.before.at) / 1_000;
      const rate = (name) => Math.max(0, queue[name] - this.before.queue[name]) / seconds;
      this.throughput.add(rate("rows"));
      this.tokens.add(rate("real_tokens"), rate("padded_tokens"));
    }
    this.before = { at: now, queue };
    this.queue.add(queue.items);
    const { embed, rerank } = stats.operations;
    this.embedding.add(embed?.p50_millis ?? 0, embed?.p99_millis ?? 0);
    this.ranking.add(rerank?.p50_millis ?? 0, rerank?.p99_millis ?? 0);
    this.memory.add(stats.resident_bytes);
    byId("lane-rows").replaceChildren(
      ...stats.lanes.map((lane) =>
        element(
          "tr",
          {},
          element("td", {}, lane.name),
          element("td", {}, lane.role),
          element("td", {}, lane.state),
          element("td", { className: "number" }, whole(lane.calls)),
          element("td", { className: "number" }, String(lane.replaced)),
        ),
      ),
    );
  }
}
