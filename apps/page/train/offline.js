// Keeps the page itself in the browser, so that it opens without a network. service.js answers then.

const NAME = "page"; // of the cache, which holds one version of the page

// The names of the files of a page, from the text of its index.html.
const filesOf = (text) => text.match(/data-files="([^"]*)"/)[1].split(" ");

// Returns whether the page is kept. All files of a version are there before its index.html is, so a
// page that's opened without a network is never half one version and half another.
export async function keepOffline() {
  if (!navigator.serviceWorker) return false; // as for addresses that begin with http://
  const folder = new URL(".", location.href).href;
  const index = await fetch(folder, { cache: "no-cache" });
  if (!index.ok) return false;
  const files = filesOf(await index.clone().text()).map((name) => folder + name);
  const cache = await caches.open(NAME), kept = (await cache.keys()).map(({ url }) => url);
  await cache.addAll(files.filter((url) => !kept.includes(url)));
  await cache.put(folder, index);
  await Promise.all(kept.filter((url) => url !== folder && !files.includes(url))
    .map((url) => cache.delete(url)));
  await navigator.serviceWorker.register(new URL("service.js", import.meta.url),
    { scope: folder, updateViaCache: "none" });
  await navigator.serviceWorker.ready;
  return true;
}
