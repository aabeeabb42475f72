// A card for each class: its name, its pictures, and the ways to add some.

import { openCamera } from "./camera.js";
import { complain, counted, hasCamera, make } from "./parts.js";
import { view } from "./viewer.js";

const PAUSE = 150; // milliseconds between two frames of a burst
const FEW = 60; // pictures of a card that are drawn; the viewer has all
const MOVED = "text/x-picture"; // the kind of what is dragged: a picture's id

let recording = null; // { card, camera }: only one card has the camera

function stopCamera() {
  recording?.camera.stop();
  recording?.card.film.replaceChildren();
  if (recording) recording.card.camera.textContent = "Camera";
  recording = null;
}

// What a card shows while the camera is on: a burst lasts as long as the button is held.
function film(camera, take) {
  const button = make("button", { type: "button", className: "button primary hold",
    textContent: "Hold to record" });
  let held = false;
  const start = async () => {
    if (held) return;
    held = true;
    button.textContent = "Recording …";
    const burst = `${Date.now()}`; // what this burst's pictures have in common
    while (held) {
      await take(await camera.frame(), burst);
      await new Promise((passed) => setTimeout(passed, PAUSE));
    }
  };
  const stop = () => {
    held = false;
    button.textContent = "Hold to record";
  };
  const isKey = ({ key }) => key === " " || key === "Enter";
  button.addEventListener("pointerdown", ({ pointerId }) => {
    button.setPointerCapture(pointerId); // it's held also where the page moves below the finger
    start();
  });
  button.addEventListener("keydown", (event) => isKey(event) && start());
  button.addEventListener("keyup", stop);
  for (const end of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
    button.addEventListener(end, stop);
  }
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // as on phones
  return [camera.video, button];
}

// Build the card of a class. session: see session.js.
function build(session, entry) {
  const name = make("input", { type: "text", value: entry.name, maxLength: 60, autocomplete: "off",
    label: entry.other ? "Name of the test pictures" : "Name of the class" });
  const count = make("span", { className: "count" });
  const file = make("input", { type: "file", accept: "image/*", multiple: true });
  const choose = make("label", { className: "button" }, "Add files", file);
  const camera = make("button", { type: "button", className: "button", textContent: "Camera",
    disabled: !hasCamera() });
  const remove = make("button", { type: "button", className: "button quiet", textContent: "Remove" });
  const pictures = make("div", { className: "thumbnails" });
  const shown = make("div", { className: "film" });
  const element = make("section", { className: "card" },
    make("div", { className: "name" }, name, count),
    make("div", { className: "ways" }, choose, camera, remove), shown, pictures);
  if (entry.other) {
    element.classList.add("other");
    element.prepend(make("p", { className: "hint", textContent: "Not learned from: pictures that " +
      "show none of your classes, to see how many of them it notices (step 3)." }));
  }
  const card = { element, name, count, camera, film: shown, pictures, remove, choose };

  name.addEventListener("change", async () => {
    const problem = await session.rename(entry.id, name.value);
    complain(problem);
    if (problem) name.value = entry.name;
  });
  file.addEventListener("change", () => {
    session.add(entry.id, [...file.files].map((one) => ({ file: one, name: one.name, burst: null })));
    file.value = "";
  });
  remove.addEventListener("click", () => {
    const own = session.picturesOf(entry.id).length;
    if (own && !confirm(`Remove ${entry.name} and its ${counted(own, "picture")}?`)) return;
    session.removeClass(entry.id);
  });
  camera.addEventListener("click", async () => {
    const isOn = recording?.card === card;
    stopCamera();
    if (isOn) return;
    complain("");
    try {
      const opened = await openCamera(stopCamera);
      stopCamera(); // another card may have been quicker
      recording = { card, camera: opened };
      camera.textContent = "Stop camera";
      shown.replaceChildren(...film(opened, (frame, burst) =>
        session.add(entry.id, [{ file: frame, name: session.nextFrame(), burst }])));
    } catch (error) {
      complain(error.message);
    }
  });
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove("over");
    const moved = event.dataTransfer.getData(MOVED), { files } = event.dataTransfer;
    if (moved) session.move(moved, entry.id);
    else if (files.length) {
      session.add(entry.id, [...files].map((one) => ({ file: one, name: one.name, burst: null })));
    } else {
      complain("There was no picture file in that. Save the picture first, then drop the file.");
    }
  });
  return card;
}

// The button that shows a picture. titled: what it is called for those who can't see it.
export function thumbnail(session, picture, titled, onClick) {
  const address = session.address(picture);
  const image = address ? make("img", { src: address, alt: "" }) : make("span", { className: "wait" });
  const button = make("button", { type: "button", className: "thumbnail", label: titled,
    draggable: true }, image);
  button.addEventListener("click", onClick);
  button.addEventListener("dragstart", (event) => event.dataTransfer.setData(MOVED, picture.id));
  return button;
}

const cards = new Map(); // by the class's id

// Draw all cards as the session has them. Elements stay where they can, and so does the focus.
export function drawCards(session, place) {
  for (const [id, card] of cards) {
    if (session.classes.some((entry) => entry.id === id)) continue;
    if (recording?.card === card) stopCamera();
    card.element.remove();
    cards.delete(id);
  }
  for (const entry of session.classes) {
    if (!cards.has(entry.id)) {
      const card = build(session, entry);
      cards.set(entry.id, card);
      place.append(card.element);
    }
    const card = cards.get(entry.id), own = session.picturesOf(entry.id);
    card.element.setAttribute("aria-label", entry.name);
    card.remove.setAttribute("aria-label", `Remove ${entry.name}`);
    if (document.activeElement !== card.name) card.name.value = entry.name;
    card.count.textContent = counted(own.length, "picture");
    // Drawn again only where something has changed: what had the focus would lose it.
    const state = own.map((picture) => `${picture.id} ${session.address(picture)}`).join();
    if (card.state === `${entry.name} ${state}`) continue;
    card.state = `${entry.name} ${state}`;
    const see = (picture) => () => view(session, entry.name, () =>
      (picture ? [picture] : session.picturesOf(entry.id)).filter((one) => session.has(one, entry.id)));
    const shown = own.slice(-FEW).reverse().map((picture) =>
      thumbnail(session, picture, `${picture.name}, in ${entry.name}`, see(picture)));
    if (own.length > 1) {
      const all = make("button", { type: "button", className: "button quiet",
        textContent: `See all ${own.length}` });
      all.addEventListener("click", see(null));
      shown.push(all);
    }
    card.pictures.replaceChildren(...shown);
  }
}
