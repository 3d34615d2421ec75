// The registered functions, each with a form made from its schema.

import { get, post } from "./api.js";
import { byId, element, millis, onSubmit } from "./dom.js";
import { paths } from "./paths.js";

let current = null;

const types = (schema) => [schema.type ?? (schema.anyOf ?? []).map((option) => option.type)].flat();

/** An input for a value of a schema, and how to read it; a value without an input of its own is written as JSON. */
function field(name, schema, required) {
  const id = `argument-${name}`;
  const kinds = types(schema);
  let input;
  let read;
  const choices = schema.enum ?? (kinds.includes("boolean") ? [true, false] : null);
  if (choices) {
    const left = required ? [] : [element("option", { value: "" }, "default")];
    input = element("select", { id }, ...left, ...choices.map((value, i) => element("option", { value: String(i) }, String(value))));
    read = () => (input.value === "" ? undefined : choices[Number(input.value)]);
  } else if (kinds.includes("integer") || kinds.includes("number")) {
    input = element("input", { id, type: "number", step: kinds.includes("number") ? "any" : "1", required });
    read = () => (input.value === "" ? undefined : Number(input.value));
  } else if (kinds.includes("string")) {
    input = element("input", { id, type: "text", required });
    read = () => (input.value === "" && !required ? undefined : input.value);
  } else {
    input = element("input", { id, type: "text", required, placeholder: "JSON" });
    read = () => (input.value === "" ? undefined : JSON.parse(input.value));
  }
  if (schema.default !== undefined && schema.default !== null && !choices) {
    input.value = typeof schema.default === "string" && kinds.includes("string") ? schema.default : JSON.stringify(schema.default);
  }
  const label = element("label", { htmlFor: id }, `${name}${required ? "" : " (optional)"}`);
  const told = schema.description ? element("small", {}, schema.description) : null;
  return { name, read, elements: [label, input, told] };
}

function show(described) {
  const schema = described.input_schema ?? {};
  const required = schema.required ?? [];
  const fields = schema.properties
    ? Object.entries(schema.properties).map(([name, type]) => field(name, type, required.includes(name)))
    : [field("args", {}, false)];
  current = { described, fields, named: Boolean(schema.properties) };
  byId("function-form").hidden = false;
  byId("function-name").textContent = described.name;
  byId("function-description").textContent = described.description ?? "";
  byId("function-fields").replaceChildren(...fields.flatMap(({ elements }) => elements.filter(Boolean)));
  byId("function-result").hidden = true;
  byId("function-summary").textContent = "";
  for (const button of byId("function-list").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(button.textContent === described.name));
  }
}

function callBody() {
  const values = current.fields.map(({ name, read }) => [name, read()]).filter(([, value]) => value !== undefined);
  const named = Object.fromEntries(values);
  return current.named ? { name: current.described.name, kwargs: named } : { name: current.described.name, ...named };
}

export async function refresh() {
  const { functions } = await get(paths.functions);
  byId("function-list").replaceChildren(
    ...functions.map((described) => {
      const button = element("button", { type: "button" }, described.name);
      button.addEventListener("click", () => show(described));
      return element("li", {}, button);
    }),
  );
  if (functions.length === 0) byId("function-list").append(element("li", {}, "No functions are registered."));
}

export function start() {
  onSubmit(byId("function-form"), async () => {
    const began = performance.now();
    const { result } = await post(paths.call, callBody());
    byId("function-summary").textContent = millis(performance.now() - began);
    byId("function-result").hidden = false;
    byId("function-result").textContent = JSON.stringify(result, null, 2);
    byId("function-result").scrollIntoView({ block: "nearest" });
  });
}
