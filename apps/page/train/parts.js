// Small things that all parts of the page need; some are those of the page that answers.

import { $ } from "./elements.js";

export { $, download, hasCamera, percent, tellOfCamera } from "./elements.js";

// An element with properties and children. Texts become part of the page as text only.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag), { label, ...others } = properties;
  if (label) element.setAttribute("aria-label", label);
  Object.assign(element, others);
  element.append(...children);
  return element;
}

export const counted = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
export const two = (number) => number.toFixed(2);

export function say(text) {
  if ($("said").textContent !== text) $("said").textContent = text;
}

export function complain(problem) {
  $("problem").textContent = problem;
}

// A menu of classes. chosen(id) is called with the one that's picked.
export function menu(label, classes, first, chosen) {
  const select = make("select", { label });
  select.append(make("option", { value: "", textContent: first }));
  for (const { id, name } of classes) select.append(make("option", { value: id, textContent: name }));
  select.addEventListener("change", () => select.value && chosen(select.value));
  return select;
}

// A share, drawn.
export function bar(share) {
  const inner = make("div", { className: "bar" });
  inner.style.width = `${100 * share}%`;
  return make("div", { className: "track" }, inner);
}
