// The page at /: tabs, the state of the service, and one module a panel.

import { at } from "./api.js";
import { byId, tell } from "./dom.js";
import * as embeddings from "./embeddings.js";
import * as functions from "./functions.js";
import { Live } from "./live.js";
import * as models from "./models.js";
import * as rerank from "./rerank.js";

const SAMPLE_MILLIS = 1_000;
const STATUS_MILLIS = 3_000;

const tabs = [...document.querySelectorAll("[role=tab]")];
const live = new Live();
const refreshed = { embeddings: models.refresh, rerank: models.refresh, models: models.refresh, functions: functions.refresh };
let sampling;

async function open(tab) {
  for (const other of tabs) {
    const selected = other === tab;
    other.setAttribute("aria-selected", String(selected));
    other.tabIndex = selected ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = !selected;
  }
  const panel = tab.getAttribute("aria-controls");
  history.replaceState(null, "", `#${panel}`);
  clearInterval(sampling);
  tell(null);
  const sample = () => live.sample().catch(tell);
  if (panel === "live") {
    sample();
    sampling = setInterval(sample, SAMPLE_MILLIS);
  } else {
    await refreshed[panel]().catch(tell);
  }
}

function move(event) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -tabs.length, End: tabs.length };
  const step = steps[event.key];
  if (step === undefined) return;
  event.preventDefault();
  const last = tabs.length - 1;
  const wanted = tabs.indexOf(event.target) + step;
  const next = Math.abs(step) > 1 ? Math.min(last, Math.max(0, wanted)) : (wanted + tabs.length) % tabs.length;
  tabs[next].focus();
  open(tabs[next]);
}

async function status() {
  const shown = byId("status");
  try {
    const response = await fetch(at("/health/ready"));
    shown.dataset.up = String(response.ok);
    shown.textContent = response.ok ? "ready" : "not ready";
  } catch {
    shown.dataset.up = "false";
    shown.textContent = "does not answer";
  }
}

function selected() {
  return tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash) ?? tabs[0];
}

tabs.forEach((tab) => {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", move);
});
[embeddings, rerank, models, functions].forEach((panel) => panel.start());
status();
setInterval(status, STATUS_MILLIS);
open(selected());
