// Answers in the place of the network where there is none. It keeps nothing by itself: offline.js does.
//
// index.html is always asked of the network first: it says which files make up the page, and may have
// changed. The others have a hash in their names: what's kept under a name is what the name stands for.

const NAME = "page";
const folder = new URL(".", self.location.href).href;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

async function answer(request) {
  const cache = await caches.open(NAME);
  if (request.mode === "navigate") {
    try {
      return await fetch(request);
    } catch (error) {
      const kept = await cache.match(folder);
      if (!kept) throw error;
      return kept;
    }
  }
  return (await cache.match(request.url)) ?? fetch(request);
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const isOurs = request.method === "GET" && request.url.startsWith(folder);
  // What is asked for anew, such as by start.js to find out what is wrong, goes to the network.
  const wantsNew = ["reload", "no-cache", "no-store"].includes(request.cache);
  if (isOurs && (!wantsNew || request.mode === "navigate")) event.respondWith(answer(request));
});
