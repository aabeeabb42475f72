// What takes long, away from the page, so that this stays quick: reads pictures, computes their
// features, trains and judges.

import { loadNetwork } from "./model.js";
import { open, PictureError, prepare } from "./picture.js";
import { withFeatures } from "./graph.js";
import { groupsOf, layoutOf } from "./groups.js";
import { fitHead } from "./head.js";
import { judge } from "./judge.js";
import { ownDistances } from "./strange.js";

const SHOWN = 240; // pixels of the longer side of a picture as the page shows it
const QUALITY = 0.85; // of its JPEG

let about, network;

async function start(data, tell) {
  about = data;
  const change = (graph) => withFeatures(new Uint8Array(graph), about.width);
  const session = await loadNetwork(about, tell, change);
  let before = Promise.resolve(); // it takes one picture after another
  network = (rgb) => {
    const found = before.catch(() => {}).then(async () => (await session(rgb)).features);
    before = found;
    return found;
  };
  await network(new Uint8Array(about.size * about.size * 3)); // the first answer takes longest
}

function shown(picture) {
  const share = Math.min(1, SHOWN / Math.max(picture.width, picture.height));
  const width = Math.max(1, Math.round(picture.width * share));
  const canvas = new OffscreenCanvas(width, Math.max(1, Math.round(picture.height * share)));
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

// A number that the same pixels always give, and others hardly ever: FNV-1a, twice 32 bits.
function fingerprint(rgb) {
  let a = 0x811c9dc5, b = 0x1000193;
  for (const value of rgb) {
    a = Math.imul(a ^ value, 0x1000193);
    b = Math.imul(b ^ value, 0x85ebca6b) + 1;
  }
  return `${(a >>> 0).toString(16)}-${(b >>> 0).toString(16)}`;
}

// All that the page needs to know of a picture. file: a Blob.
async function look({ file }) {
  const picture = await open(file, about.most);
  const rgb = prepare(picture, about), thumbnail = await shown(picture);
  picture.close();
  const features = Float32Array.from(await network(rgb));
  return { features, thumbnail, layout: layoutOf(rgb, about.size), key: fingerprint(rgb) };
}

// Train on pictures and judge what comes out. pictures: [{ features, layout, burst, label }, …].
function train({ pictures, count }) {
  const started = performance.now();
  const features = pictures.map((picture) => picture.features);
  const labels = pictures.map((picture) => picture.label);
  const groups = groupsOf(features, pictures.map((picture) => picture.layout),
    pictures.map((picture) => picture.burst));
  const head = fitHead(features, labels, count), trained = performance.now();
  const report = judge(features, labels, groups, count);
  const distances = ownDistances(features, groups);
  const seconds = (trained - started) / 1000, total = (performance.now() - started) / 1000;
  return { head, groups, report, distances, seconds, total };
}

const TASKS = { start, look, train };

onmessage = async ({ data: { id, task, argument } }) => {
  const tell = (share) => postMessage({ id, share });
  try {
    postMessage({ id, result: await TASKS[task](argument, tell) });
  } catch (error) {
    const kind = error instanceof PictureError ? "PictureError" : error.name;
    postMessage({ id, error: { kind, message: error.message } });
  }
};
