// Small things that the page's modules share. Names and messages become part of the page as text only.

export const $ = (id) => document.getElementById(id);

export function make(tag, text, properties = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  return Object.assign(element, properties);
}

export const readable = (name) => name.replaceAll("_", " ");
export const percent = (share) => `${Math.round(100 * share)} %`;

// Let the visitor keep data, a Blob, as a file.
export function download(name, data) {
  const address = URL.createObjectURL(data);
  make("a", "", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // some browsers begin late
}
