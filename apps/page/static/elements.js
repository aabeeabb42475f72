// Small things that the page's modules share. Names and messages become part of the page as text only.

export const $ = (id) => document.getElementById(id);

export function make(tag, text, properties = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  return Object.assign(element, properties);
}

export const readable = (name) => name.replaceAll("_", " ");
export const percent = (share) => `${Math.round(100 * share)} %`;

// Browsers give the camera only to addresses that begin with https://, and to localhost.
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

// Say beside the camera's buttons why there's none. A button that can't help is switched off.
export function tellOfCamera() {
  for (const reason of document.querySelectorAll(".no-camera")) reason.hidden = hasCamera();
}

// A text that breaks between the words of a file's name, such as IMG_4028.jpg, before it breaks elsewhere.
export function breakable(name) {
  const words = name.split(/(?<=[_-])|(?=\.)/);
  return words.flatMap((word, i) => (i ? [document.createElement("wbr"), word] : [word]));
}

// Let the visitor keep data, a Blob, as a file.
export function download(name, data) {
  const address = URL.createObjectURL(data);
  make("a", "", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // some browsers begin late
}
