// Classes and pictures, kept by the browser on this device (IndexedDB): whatever is shown is in there
// first, so a reload or a crash loses nothing.

const NAME = "train";
const VERSION = 1;
const KINDS = ["classes", "pictures", "settings"];

const answered = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

// A transaction that is over: only then is all of it on disk.
const done = (transaction) => new Promise((resolve, reject) => {
  transaction.oncomplete = () => resolve();
  transaction.onabort = () => reject(transaction.error);
});

export async function openStore() {
  const request = indexedDB.open(NAME, VERSION);
  request.onupgradeneeded = () => {
    for (const kind of KINDS) request.result.createObjectStore(kind, { keyPath: "id" });
  };
  const database = await answered(request);
  // strict: written through to the disk, where a browser would rather wait
  const start = (mode) => database.transaction(KINDS, mode, { durability: "strict" });

  return {
    // All entries of a kind, as { id, … }.
    all: (kind) => answered(start("readonly").objectStore(kind).getAll()),

    // Write entries of a kind, instead of older ones with the same ids: all of them or none.
    put(kind, ...entries) {
      const transaction = start("readwrite");
      for (const entry of entries) transaction.objectStore(kind).put(entry);
      return done(transaction);
    },

    remove(kind, ...ids) {
      const transaction = start("readwrite");
      for (const id of ids) transaction.objectStore(kind).delete(id);
      return done(transaction);
    },

    forget() {
      const transaction = start("readwrite");
      for (const kind of KINDS) transaction.objectStore(kind).clear();
      return done(transaction);
    },
  };
}
