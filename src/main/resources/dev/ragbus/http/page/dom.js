// The little that every panel needs to build its elements.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; text is always text, never markup. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const lines = (text) => text.split("\n").filter((line) => line.trim() !== "");

export function bytes(count) {
  return count >= 1e9 ? `${(count / 1e9).toFixed(2)} GB` : `${(count / 1e6).toFixed(1)} MB`;
}

export function millis(count) {
  return count >= 60_000
    ? `${Math.round(count / 60_000)} min`
    : count >= 1_000
      ? `${(count / 1_000).toFixed(1)} s`
      : `${Number(count.toPrecision(3))} ms`;
}

/** Shows a failure to everybody, screen readers included; null takes it away. */
export function tell(failure) {
  const box = byId("failure");
  box.hidden = failure === null;
  box.textContent = failure === null ? "" : failure.message;
}

/** Runs a form's action with its button disabled, and tells what fails. */
export function onSubmit(form, action) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    tell(null);
    try {
      await action();
    } catch (failure) {
      tell(failure);
    } finally {
      button.disabled = false;
    }
  });
}
