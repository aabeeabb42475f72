// The worker, as functions that the page can wait for.

import { PictureError } from "./picture.js";

// about: what the page's JSON file says. onUpdate(share): how much of the network has arrived.
// Returns a function from a task of worker.js and its argument to the task's result.
export async function startEngine(about, onUpdate) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let count = 0;
  worker.onmessage = ({ data: { id, share, result, error } }) => {
    const { resolve, reject, tell } = waiting.get(id);
    if (share !== undefined) return tell(share);
    waiting.delete(id);
    if (!error) return resolve(result);
    reject(error.kind === "PictureError" ? new PictureError(error.message)
      : new Error(error.message));
  };
  worker.onerror = (event) => {
    event.preventDefault();
    for (const { reject } of waiting.values()) {
      reject(new Error(event.message || "the part that computes could not be loaded"));
    }
    waiting.clear();
  };
  const ask = (task, argument, tell = () => {}) => new Promise((resolve, reject) => {
    count += 1;
    waiting.set(count, { resolve, reject, tell });
    worker.postMessage({ id: count, task, argument });
  });
  await ask("start", about, onUpdate);
  return ask;
}
