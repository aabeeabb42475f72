// Small things that the page's modules share. Names and messages become part of the page as text only.

export const $ = (id) => document.getElementById(id);

export function make(tag, text, properties = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  return Object.assign(element, properties);
}

export const readable = (name) => name.replaceAll("_", " ");
export const percent = (share) => `${Math.round(100 * share)} %`;
