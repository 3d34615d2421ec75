// The loaded models: what they are, what they take, load and unload.

import { get, post } from "./api.js";
import { byId, bytes, element, millis, onSubmit, tell } from "./dom.js";
import { paths } from "./paths.js";

const number = (text) => element("td", { className: "number" }, text);

function row(model) {
  const unload = element("button", { type: "button" }, "Unload");
  unload.setAttribute("aria-label", `Unload ${model.cache_key}`);
  unload.addEventListener("click", async () => {
    unload.disabled = true;
    try {
      await post(paths.unload, { model: model.cache_key });
      tell(null);
    } catch (failure) {
      tell(failure);
    }
    await refresh();
  });
  return element(
    "tr",
    {},
    element("td", {}, model.model_name),
    element("td", {}, model.model_type),
    element("td", {}, model.state),
    element("td", {}, model.engine ?? ""),
    element("td", {}, model.precision ?? ""),
    number(model.dimensions === undefined ? "" : String(model.dimensions)),
    number(bytes(model.memory_bytes)),
    number(millis(model.load_millis)),
    number(`${millis(model.last_used_millis_ago)} ago`),
    element("td", {}, unload),
  );
}

function choose(select, models) {
  const chosen = select.value;
  const type = select.dataset.models;
  const names = models.filter((model) => !type || model.model_type === type).map((model) => model.model_name);
  select.replaceChildren(
    element("option", { value: "" }, "default"),
    ...[...new Set(names)].map((name) => element("option", { value: name }, name)),
  );
  select.value = names.includes(chosen) ? chosen : "";
}

export async function refresh() {
  const models = (await get(paths.models)).cached_models;
  byId("model-rows").replaceChildren(...models.map(row));
  document.querySelectorAll("select[data-models]").forEach((select) => choose(select, models));
}

export function start() {
  onSubmit(document.querySelector("#models form"), async () => {
    const watching = setInterval(() => refresh().catch(tell), 1_000);
    try {
      const loaded = await post(paths.load, { model_name: byId("load-name").value, model_type: byId("load-type").value });
      byId("load-summary").textContent = `${loaded.cache_key}: ${loaded.status.replace("_", " ")}`;
    } finally {
      clearInterval(watching);
      await refresh();
    }
  });
}
