// The page that learns; start.js calls `run`. The classes and pictures are in session.js, what takes
// long in worker.js; here they meet.

import { prepareAttempts } from "./attempt.js";
import { drawCards } from "./classes.js";
import { startEngine } from "./engine.js";
import { loadAbout } from "./model.js";
import { keepOffline } from "./offline.js";
import { $, complain, counted, percent, say, tellOfCamera, two } from "./parts.js";
import { checkReading, PictureError } from "./picture.js";
import { drawReport } from "./report.js";
import { openSession } from "./session.js";
import { openStore } from "./store.js";
import { threshold, USUAL } from "./strange.js";
import { prepareTaking } from "./take.js";

let about, session, engine;
let drawAttempt = () => {};
let result = null; // what the latest training has found
let training = false, stale = false;

// Two tabs would overwrite each other's pictures: the second waits until the first is closed.
async function alone() {
  if (!navigator.locks) return;
  await new Promise((mine) => {
    navigator.locks.request("train", { ifAvailable: true }, (lock) => {
      if (lock) {
        mine();
        return new Promise(() => {}); // until this tab is closed
      }
      say("This page is open in another tab. It starts here when that one is closed.");
      navigator.locks.request("train", () => {
        mine();
        return new Promise(() => {});
      });
      return undefined;
    });
  });
}

// Why it can't be trained yet, or "".
function lacking() {
  const classes = session.learned();
  const empty = classes.filter(({ id }) => !session.picturesOf(id).length);
  if (classes.length < 2) return "Add a second class first.";
  if (empty.length) return `Add pictures to ${empty[0].name} first.`;
  if (!session.ready()) return "As soon as all pictures have been looked at.";
  return "";
}

function drawProgress(done, total) {
  const isOver = done >= total;
  $("progress").hidden = isOver;
  $("progress").value = total ? done / total : 0;
  if (isOver) return say("Ready.");
  const quarter = Math.floor((4 * done) / total) / 4; // not too often: it is said
  say(`Looking at ${counted(total, "picture")} … ${percent(quarter)}`);
}

function draw() {
  drawCards(session, $("cards"));
  const lack = lacking();
  $("train").disabled = Boolean(lack);
  $("train-hint").textContent = lack || (session.setting("trained", false)
    ? "It trains again whenever you change something." : "");
  for (const id of ["report", "try", "take"]) $(id).hidden = !result;
  const bytes = session.pictures.reduce((sum, { file }) => sum + file.size, 0);
  $("kept").textContent = `${counted(session.learned().length, "class", "classes")} and ` +
    `${counted(session.pictures.length, "picture")} (${(bytes / 1e6).toFixed(1)} MB), in this ` +
    "browser, until you forget them or clear the browser's data. Nobody else gets them.";
}

// What has changed is drawn; whatever was learned from it is learned again.
function changed() {
  draw();
  if (session.setting("trained", false)) train();
  else if (result) {
    result = null;
    drawResult();
  }
}

// Train on what there is now, until nothing has changed in the meantime.
async function train() {
  stale = true;
  if (training) return;
  training = true;
  try {
    while (stale && !lacking()) {
      stale = false;
      const found = await trained();
      if (!stale) result = found;
    }
  } finally {
    training = false;
  }
  if (lacking() && session.ready()) result = null; // it can't be learned any more
  if (!stale || !result) drawResult();
}

async function trained() {
  const classes = session.learned().map((entry) => ({ ...entry }));
  const labelOf = new Map(classes.map(({ id }, label) => [id, label]));
  const pictures = session.pictures.filter(({ classId }) => labelOf.has(classId));
  const found = await engine("train", {
    pictures: pictures.map(({ features, layout, burst, classId }) =>
      ({ features, layout, burst, label: labelOf.get(classId) })),
    count: classes.length,
  });
  return { ...found, classes, pictures };
}

function drawResult() {
  // Where the focus was in the report, it stays there, though all of it is drawn again.
  const isInside = $("report").contains(document.activeElement);
  draw();
  if (result) drawReport(session, $("report"), result);
  drawAttempt();
  if (isInside) ($("report").querySelector(".suspects select") ?? $("train")).focus();
}

async function trainFirst() {
  say("Training …");
  await session.set("trained", true);
  await train();
  const found = result?.report.accuracy;
  say(found ? `Trained: accuracy ${two(found.value)}, 95 % interval ${two(found.low)} to ` +
    `${two(found.high)}.` : "Trained.");
  $("report").scrollIntoView({ block: "nearest" });
}

async function forget() {
  if (!confirm("Forget all classes and pictures on this device? This cannot be undone.")) return;
  await session.forget();
  stale = true; // what is being trained now is forgotten, too
  result = null;
  await session.addClass();
  await session.addClass();
  drawAttempt();
  say("Everything is forgotten.");
  $("show-title").scrollIntoView();
}

function listen() {
  $("add").addEventListener("click", async () => {
    await session.addClass();
    const names = document.querySelectorAll(".card:not(.other) .name input");
    names[names.length - 1].select();
  });
  $("train").addEventListener("click", trainFirst);
  $("forget").addEventListener("click", forget);
  tellOfCamera();
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault(); // or the browser would leave this page for the picture
    complain("Drop pictures on the class that they belong to.");
  });
  addEventListener("unhandledrejection", ({ reason }) => complain(reason?.message ?? String(reason)));
}

// Whether it works without a network is told in the footer; a failure stops nothing else.
async function keep() {
  const kept = await keepOffline().catch(() => Boolean(navigator.serviceWorker?.controller));
  $("offline").textContent = kept ? "This page now also opens without a network."
    : "Once loaded it works without a network, but it can't be loaded again without one.";
}

// Load everything that `name`, a JSON file, says, and let the visitor begin.
export async function run(name) {
  if (typeof WebAssembly !== "object") {
    throw new PictureError("This browser runs no WebAssembly, with which the page computes: use a " +
      "current browser, or switch off what forbids it, such as a lockdown mode.");
  }
  checkReading();
  await alone();
  about = await loadAbout(name);
  $("about").textContent = `It starts from ${about.name.replaceAll("_", " ")}, which has learned to ` +
    "see from ImageNet, and trains a new last layer on your pictures, in your browser.";
  const store = await openStore().catch((error) => {
    throw new PictureError(`This browser does not let the page keep pictures (${error.message}): ` +
      "allow it to store data, leave the private window, or use another browser.");
  });
  session = await openSession(store, about.model, {
    changed,
    told: drawProgress,
    problem: complain,
    said: say,
  });
  if (!session.classes.length) {
    await session.addClass();
    await session.addClass();
  }
  listen();
  $("steps").hidden = false;
  draw();
  engine = await startEngine(about, (share) => {
    $("progress").hidden = share === 1;
    $("progress").value = share;
    say(`Loading the network … ${percent(Math.floor(share * 4) / 4)}`);
  });
  const limit = () => threshold(result.distances, session.setting("share", USUAL) / 100);
  drawAttempt = prepareAttempts(engine, session, () => result, limit);
  prepareTaking(about, session, () => result, limit);
  say("Ready.");
  $("progress").hidden = true;
  await session.begin(engine);
  keep();
}
