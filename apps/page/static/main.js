// What visitors see; start.js calls `run`.

import { $, breakable, hasCamera, make, percent, readable, tellOfCamera } from "./elements.js";
import { judge, load, loadAbout, loadModel, UNLIKE, UNSURE } from "./model.js";
import { checkReading, open, PictureError, prepare } from "./picture.js";
import { hideTable, newTable } from "./table.js";

const FEW = 10; // classes that are listed at once
const WIDEST = 480; // pixels of the picture as it is shown
const PAUSE = 1500; // milliseconds between two answers that are told, of a camera

let about, model;
let turn = 0; // counts what was chosen: only the latest is shown
let stream = null; // the camera's, while it is on

function say(text) {
  if ($("said").textContent !== text) $("said").textContent = text;
}

function complain(problem) {
  $("problem").textContent = problem;
  if (problem) say("");
}

// Draw a picture on a canvas, no larger than it is to be shown.
function draw(source, name) {
  const width = source.videoWidth || source.width, height = source.videoHeight || source.height;
  const share = Math.min(1, WIDEST / Math.max(width, height)), canvas = $("shown");
  canvas.width = Math.max(1, Math.round(width * share));
  canvas.height = Math.max(1, Math.round(height * share));
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  canvas.setAttribute("aria-label", `The picture: ${name}`);
  $("name").replaceChildren(...breakable(name));
}

// Draw what the network sees.
function drawSeen(rgb) {
  const size = about.size, image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    image.data.set([rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2], 255], 4 * i);
  }
  $("seen").width = $("seen").height = size;
  $("seen").getContext("2d").putImageData(image, 0, 0);
}

const CAPTIONS = {
  [UNLIKE]: "If it had to be one of its classes",
  [UNSURE]: "The most likely classes, none of them likely enough",
  "": "Most likely classes",
};

function drawAnswers({ answers, doubt }) {
  const rows = answers.map(({ name, probability }) => {
    const row = document.createElement("tr"), bar = make("div", "", { className: "bar" });
    bar.style.width = `${100 * probability}%`;
    const cell = make("td", "", { className: "track" });
    cell.append(bar);
    row.append(make("th", readable(name), { scope: "row" }), cell, make("td", probability.toFixed(2)));
    return row;
  });
  $("answers").replaceChildren(...rows);
  $("answers").classList.toggle("doubtful", Boolean(doubt));
  $("caption").textContent = CAPTIONS[doubt];
}

// Classify a picture or a video's present frame and show it → as `judge`, or null where another came
// between.
async function classify(source, name) {
  const mine = turn, started = performance.now();
  const rgb = prepare(source, about);
  const prepared = performance.now();
  const found = judge(await model(rgb), about);
  const done = performance.now();
  if (mine !== turn) return null;
  draw(source, name);
  drawSeen(rgb);
  drawAnswers(found);
  $("time").textContent = `Prepared in ${Math.max(1, Math.round(prepared - started))} ms, ` +
    `classified in ${Math.max(1, Math.round(done - prepared))} ms, on this device.`;
  $("result").hidden = false;
  return found;
}

// The headline.
function inWords({ answers: [{ name, probability }], doubt }) {
  return doubt || `${readable(name)}: ${percent(probability)}`;
}

// Let all else that waits have its turn: clicks, and what is to be drawn.
const giveWay = () => new Promise((done) => setTimeout(done));

// Show what is in a picture file, a Blob. alone: it isn't of the table, which goes once there's an answer.
async function look(file, name, alone = false) {
  stop();
  const mine = ++turn;
  complain("");
  say("Looking …");
  try {
    const picture = await open(file, about.most);
    await giveWay(); // so that “Looking …” is seen
    const found = mine === turn && (await classify(picture, name));
    picture.close();
    if (!found) return;
    if (alone) hideTable();
    say(inWords(found));
    $("result").scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (mine !== turn) return;
    $("result").hidden = true;
    complain(error instanceof PictureError ? `${name}: ${error.message}`
      : `${name} could not be classified: ${error.message}`);
  }
}

// A picture file's row of the table.
async function rowOf(file) {
  try {
    const picture = await open(file, about.most);
    const rgb = prepare(picture, about);
    picture.close();
    await giveWay();
    const { answers: [best], doubt } = judge(await model(rgb), about);
    return { file: file.name, ...best, note: doubt };
  } catch (error) {
    return { file: file.name, note: error.message };
  }
}

// Show what is in each of some picture files, in a table, until something else is chosen.
async function lookAtAll(files) {
  stop();
  const mine = ++turn, table = newTable(files.length, (file) => look(file, file.name));
  complain("");
  say("Looking …");
  $("result").hidden = true;
  for (const file of files) {
    const row = await rowOf(file);
    if (mine !== turn) break;
    table.add(file, row);
    await giveWay();
  }
  const told = table.end();
  if (mine === turn) say(told);
}

// Files that were dropped, pasted or chosen: one with all that there is to say, or a table of several.
function take(files) {
  if (files.length > 1) lookAtAll([...files]);
  else if (files.length) look(files[0], files[0].name || "your picture", true);
  else complain("There was no picture file in that. Save the picture first, then choose the file.");
}

const CAMERA = {
  NotAllowedError: "The camera was not allowed. Allow it for this page in the browser's address " +
    "bar or settings, then try again; or choose a picture.",
  NotFoundError: "There is no camera on this device: choose a picture.",
  NotReadableError: "The camera is used by another program: close that, then try again.",
};

async function start() {
  const mine = ++turn;
  complain("");
  say("Waiting for the camera …");
  try {
    const wanted = { video: { facingMode: "environment", width: { ideal: 640 } }, audio: false };
    const opened = await navigator.mediaDevices.getUserMedia(wanted);
    if (mine !== turn) return opened.getTracks().forEach((track) => track.stop());
    stream = opened;
    hideTable();
    $("camera").textContent = "Stop the camera";
    opened.getVideoTracks()[0].addEventListener("ended", () => {
      if (stream === opened) stop();
    });
    const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
    video.srcObject = opened;
    await video.play();
    await watch(video, mine);
  } catch (error) {
    if (mine !== turn) return;
    stop();
    complain(CAMERA[error.name] ?? `The camera does not work: ${error.message}`);
  }
}

// Classify one frame after another, until something else is chosen.
async function watch(video, mine) {
  let told = 0, frames = [];
  while (mine === turn && stream) {
    const found = await classify(video, "the camera");
    if (!found) return;
    const now = performance.now();
    frames = [...frames, now].slice(-20);
    const rate = (1000 * (frames.length - 1)) / (now - frames[0]);
    if (rate) $("time").textContent += ` ${Math.round(rate)} pictures a second.`;
    if (now - told > PAUSE) {
      say(found.doubt || readable(found.answers[0].name)); // screen readers say it when it changes
      told = now;
    }
    await new Promise(requestAnimationFrame);
  }
}

function stop() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  $("camera").textContent = "Use the camera";
}

function listen() {
  $("file").addEventListener("change", () => {
    take($("file").files);
    $("file").value = ""; // so that the same file can be chosen again
  });
  $("stop-all").addEventListener("click", () => {
    turn++;
    say("Stopped.");
  });
  $("camera").disabled = !hasCamera();
  tellOfCamera();
  $("camera").addEventListener("click", () => (stream ? (turn++, stop()) : start()));
  addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    take(event.dataTransfer.files);
  });
}

// A button for each sample; all are here before the page says that it is ready.
async function offer(samples) {
  const buttons = await Promise.all(samples.map(async ({ name, file }) => {
    const picture = new Blob([await load(file)], { type: "image/jpeg" });
    const button = make("button", "", { type: "button" });
    const shown = Object.assign(new Image(), { src: URL.createObjectURL(picture), alt: "" });
    button.append(shown, make("span", readable(name)));
    button.addEventListener("click", () => look(picture, readable(name), true));
    return button;
  }));
  $("samples").replaceChildren(...buttons);
}

function describe() {
  document.title = `${readable(about.name)}: ${document.title}`;
  const others = about.within === null
    ? "It cannot tell that a picture shows none of them; “Not sure” only means that no class is " +
      "likely enough. "
    : "Where a picture is like nothing it learned from, it says so. It notices most other things, " +
      "but seldom close relatives of its classes. ";
  $("about").textContent = `The model, ${readable(about.name)}, knows ${about.classes.length} ` +
    `classes. ${others}It can be wrong where it seems sure.`;
  $("seen-text").textContent = `what the network sees, ${about.size} × ${about.size}`;
  $("seen").setAttribute("aria-label", "The same picture, as small as the network sees it");
  $("classes").replaceChildren(...about.classes.map((name) => make("li", readable(name))));
  Object.assign(document.querySelector("details"), { hidden: false, open: about.classes.length <= FEW });
}

// Load everything that `name`, a JSON file, says, and let the visitor choose pictures.
export async function run(name) {
  if (typeof WebAssembly !== "object") {
    throw new PictureError("This browser runs no WebAssembly, with which the page computes: use a " +
      "current browser, or switch off what forbids it, such as a lockdown mode.");
  }
  checkReading();
  about = await loadAbout(name);
  describe();
  await offer(about.samples);
  model = await loadModel(about, (share) =>
    say(`Loading the model … ${percent(Math.floor(share * 4) / 4)}`)); // not too often: it is said
  listen();
  $("choose").hidden = false;
  say("Ready.");
}
