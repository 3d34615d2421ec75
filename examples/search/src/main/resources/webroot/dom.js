// The little that every part of the page needs.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; text is always text, never markup. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function millis(count) {
  return count >= 1_000 ? `${(count / 1_000).toFixed(1)} s` : `${count >= 10 ? Math.round(count) : count.toFixed(1)} ms`;
}
