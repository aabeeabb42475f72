// Starts the page. Where the web server that it comes from keeps it from running, says what is wrong
// there and what to do. A classic script: it runs where a server's settings stop all modules.
"use strict";

(() => {
  // Every file of the page, by names that hold the start of its SHA-256.
  const files = document.currentScript.dataset.files.split(" ");
  const { main } = document.currentScript.dataset; // which of them is the page's own script
  const named = (start) => files.find((name) => name.startsWith(`${start}-`));
  const folder = new URL(".", document.currentScript.src).href;

  const forbidden = []; // what rules of the server have stopped; the page's own allow all of it
  document.addEventListener("securitypolicyviolation", ({ blockedURI, effectiveDirective }) => {
    const ours = blockedURI.startsWith(folder) || /^(wasm|eval)/.test(blockedURI);
    if (ours) forbidden.push(effectiveDirective.replace("-elem", ""));
  });

  function complain(problem) {
    document.getElementById("said").textContent = "";
    document.getElementById("problem").textContent = problem;
  }

  // What is wrong with a file as the server sends it; "" if nothing is.
  async function fault(name) {
    let response;
    try {
      response = await fetch(folder + name, { cache: "reload" });
    } catch {
      return `${name} could not be fetched: check the connection, then load the page again.`;
    }
    const again = "Copy the whole folder of the page there again";
    if (!response.ok) {
      const kind = name.split(".").pop();
      return `The web server answers ${response.status} to a request for ${name}. If the page was ` +
        `replaced just now, load it again. ${again}; if the file is there, the server has to be ` +
        `told to send files that end in .${kind}.`;
    }
    const type = response.headers.get("Content-Type") ?? "no type";
    const data = await response.arrayBuffer();
    const start = new TextDecoder().decode(data.slice(0, 200)).trim();
    if (!name.endsWith(".html") && /^<(!doctype html|html|head|body)\b/i.test(start)) {
      return `The web server sends a web page in place of ${name}, as some do for every address ` +
        `they do not know. ${again}, and open the address that this folder has there.`;
    }
    if (name.endsWith(".js") && !/javascript|ecmascript/.test(type)) {
      return `The web server sends ${name} as ${type}. Browsers run it only as text/javascript: ` +
        "set that for files that end in .js.";
    }
    const hash = await sha256(data);
    if (hash && !name.includes(hash.slice(0, 12))) {
      return `${name} is not as it was made. ${again}, and let no program change it on the way ` +
        "(FTP: binary mode).";
    }
    return "";
  }

  // In hexadecimal; "" where the browser computes none, as for addresses that begin with http://.
  async function sha256(data) {
    if (!globalThis.crypto?.subtle) return "";
    const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // Why the page could not be loaded.
  async function explain(error) {
    if (error.name === "PictureError") return error.message;
    await new Promise((reported) => setTimeout(reported, 200)); // violations are told a little later
    if (forbidden.length) {
      return `The web server forbids what this page needs (Content-Security-Policy: ` +
        `${forbidden[0]}). Whoever runs the server can allow it: script-src 'self' ` +
        "'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; connect-src 'self'.";
    }
    for (const name of files) {
      const found = await fault(name);
      if (found) return found;
    }
    return `The page could not be loaded (${error.message}). Load it again; if that does not help, ` +
      "use a current browser.";
  }

  async function start() {
    document.getElementById("stuck").remove();
    if (location.protocol === "file:") {
      complain("This page does not run when it is opened as a file from disk: a web server has to " +
        "send it. In a terminal, in the folder of the page: python -m http.server --bind " +
        "127.0.0.1, then open http://127.0.0.1:8000.");
      return;
    }
    if (self.origin === "null") {
      complain("This page is shown in a frame that takes its rights away (sandbox). Open it by " +
        `itself: ${location.href}`);
      return;
    }
    try {
      const { run } = await import(folder + main);
      await run(named("page"));
    } catch (error) {
      complain(await explain(error));
    }
  }

  start();
})();
