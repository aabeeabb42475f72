// The visitor's classes and pictures, and all that can be done to them. Each change goes to the store
// first; then `changed` is called.

import { PictureError } from "./picture.js";

const OTHER = "Other things";
const LANES = 2; // pictures that are being looked at

// store: see store.js; base: the name of the network's file, with which features were computed;
// changed(): draws what there is now; told(done, total): how many pictures have been looked at;
// problem(text), said(text): tell the visitor what is wrong, and what was done.
export async function openSession(store, base, { changed, told, problem, said }) {
  const byOrder = (a, b) => a.order - b.order;
  const classes = (await store.all("classes")).sort(byOrder);
  const pictures = (await store.all("pictures")).sort(byOrder);
  const settings = new Map((await store.all("settings")).map(({ id, value }) => [id, value]));
  const addresses = new Map(); // of thumbnails, by the picture's id
  let order = Math.max(0, ...classes.map((one) => one.order), ...pictures.map((one) => one.order));
  let engine = null, looking = false;

  const next = () => (order += 1);
  const waiting = () => pictures.filter((picture) => picture.base !== base);

  function release(picture) {
    if (addresses.has(picture.id)) URL.revokeObjectURL(addresses.get(picture.id));
    addresses.delete(picture.id);
  }

  async function drop(chosen) {
    await store.remove("pictures", ...chosen.map(({ id }) => id));
    for (const picture of chosen) {
      pictures.splice(pictures.indexOf(picture), 1);
      release(picture);
    }
  }

  // Look at one picture: what is known of it is kept, or else the picture goes. Returns what is wrong.
  async function examine(picture) {
    let found;
    try {
      found = await engine("look", { file: picture.file });
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      if (pictures.includes(picture)) await drop([picture]);
      return `${picture.name}: ${error.message}`;
    }
    if (!pictures.includes(picture)) return ""; // removed in the meantime
    const twin = pictures.find((other) => other.key === found.key && other.id !== picture.id);
    if (twin) {
      await drop([picture]);
      if (picture.burst !== null) return ""; // a camera that was too slow for another frame
      const own = classes.find(({ id }) => id === twin.classId);
      return `${picture.name} is already there, in ${own.name}, as ${twin.name}.`;
    }
    picture.key = found.key; // at once: the other lane compares with it
    await store.put("pictures", { ...picture, ...found, base });
    Object.assign(picture, found, { base });
    release(picture);
    return "";
  }

  // Look at all pictures that have not been looked at, some at a time: while the network computes one,
  // the browser decodes the next and writes the one before to the disk.
  async function lookAtAll() {
    if (looking || !engine) return;
    looking = true;
    const problems = [], taken = new Set();
    let looked = 0;
    const lane = async () => {
      const untaken = () => waiting().find((picture) => !taken.has(picture));
      for (let picture = untaken(); picture; picture = untaken()) {
        taken.add(picture);
        told(looked, looked + waiting().length);
        const wrong = await examine(picture);
        if (wrong) problems.push(wrong);
        looked += 1;
        changed();
      }
    };
    try {
      await Promise.all(Array.from({ length: LANES }, lane));
    } finally {
      looking = false;
      told(looked, looked);
    }
    const shown = problems.slice(0, 5), more = problems.length - shown.length;
    problem(more ? `${shown.join(" ")} And ${more} more.` : shown.join(" "));
    changed();
  }

  const session = {
    classes,
    pictures,
    learned: () => classes.filter((entry) => !entry.other),
    picturesOf: (id) => pictures.filter((picture) => picture.classId === id),
    classOf: (picture) => classes.find(({ id }) => id === picture.classId),
    has: (picture, id) => pictures.includes(picture) && picture.classId === id,
    // Whether every picture has been looked at.
    ready: () => Boolean(engine) && !waiting().length && !looking,
    setting: (id, usual) => settings.get(id) ?? usual,

    async set(id, value) {
      settings.set(id, value);
      await store.put("settings", { id, value });
    },

    // The address of a picture's thumbnail; null until it has been looked at.
    address(picture) {
      if (!picture.thumbnail) return null;
      if (!addresses.has(picture.id)) {
        addresses.set(picture.id, URL.createObjectURL(picture.thumbnail));
      }
      return addresses.get(picture.id);
    },

    // A file name for a frame of the camera: numbers rise, as in films that programs take apart.
    nextFrame: () => `camera-${String(next()).padStart(6, "0")}.jpg`,

    async addClass(other = false) {
      const names = classes.map(({ name }) => name);
      let number = session.learned().length + 1;
      while (names.includes(`Class ${number}`)) number += 1;
      const place = next(), name = other ? OTHER : `Class ${number}`;
      const entry = { id: `class-${place}`, name, order: place, other };
      await store.put("classes", entry);
      classes.push(entry);
      changed();
    },

    // Returns what is wrong with a name, or "".
    async rename(id, wanted) {
      const name = wanted.trim(), entry = classes.find((one) => one.id === id);
      if (!name) return "A class needs a name.";
      const clash = classes.find((one) => one.id !== id && one.name === name);
      if (clash) return `There is another class called ${name}: choose another name.`;
      await store.put("classes", { ...entry, name });
      entry.name = name;
      changed();
      return "";
    },

    async removeClass(id) {
      await drop(session.picturesOf(id));
      await store.remove("classes", id);
      classes.splice(classes.findIndex((entry) => entry.id === id), 1);
      changed();
    },

    // Keep pictures, then look at them. files: [{ file: a Blob, name, burst }, …].
    async add(classId, files) {
      const added = files.map(({ file, name, burst }) => {
        const place = next();
        return { id: `picture-${place}`, classId, name, burst, file, order: place, base: null };
      });
      try {
        await store.put("pictures", ...added);
      } catch (error) {
        problem(error.name === "QuotaExceededError"
          ? "There is no more room for pictures on this device: remove some, or use smaller copies."
          : `The pictures could not be kept: ${error.message}`);
        return;
      }
      pictures.push(...added);
      changed();
      lookAtAll().catch((error) => problem(error.message));
    },

    async move(id, classId) {
      const picture = pictures.find((one) => one.id === id);
      await store.put("pictures", { ...picture, classId });
      picture.classId = classId;
      said(`${picture.name} is now in ${session.classOf(picture).name}.`);
      changed();
    },

    async remove(id) {
      await drop(pictures.filter((one) => one.id === id));
      changed();
    },

    async forget() {
      await store.forget();
      pictures.forEach(release);
      classes.length = pictures.length = 0;
      settings.clear();
      changed();
    },

    // From now on pictures can be looked at.
    async begin(started) {
      engine = started;
      await lookAtAll();
    },
  };
  return session;
}
