// The visitor tries the classifier on new pictures.

import { openCamera } from "./camera.js";
import { unit } from "./groups.js";
import { best } from "./judge.js";
import { probabilitiesOf } from "./head.js";
import { $, bar, complain, counted, hasCamera, make, percent, say, two } from "./parts.js";
import { nearest, USUAL } from "./strange.js";

const MOST = 30;
const PAUSE = 1500; // milliseconds between two answers that are told, of a camera

// engine: see engine.js; session: see session.js; result(): what training has found, or null;
// limit(): beyond which distance a picture is like nothing that was shown.
export function prepareAttempts(engine, session, result, limit) {
  let turn = 0, camera = null, latest = null;

  const units = () => (result().units ??= result().pictures.map(({ features }) => unit(features)));

  function draw() {
    if (!latest || !result()) return $("answer").replaceChildren();
    const { classes, pictures, head } = result(), { name, address, features } = latest;
    const probabilities = probabilitiesOf(head, features), found = nearest(features, units());
    const isStrange = found.distance > limit(), close = pictures[found.position];
    const rows = classes.map((entry, i) => ({ name: entry.name, share: probabilities[i] }));
    rows.sort((a, b) => b.share - a.share);
    const table = make("table", { className: "answers" },
      make("caption", { textContent: isStrange ? "If it had to be one of your classes"
        : "Probability of each class" }),
      ...rows.map((row) => make("tr", {}, make("th", { scope: "row", textContent: row.name }),
        make("td", {}, bar(row.share)), make("td", { textContent: two(row.share) }))));
    const answer = isStrange ? "Like nothing you showed me" : classes[best(probabilities)].name;
    $("answer").classList.toggle("strange", isStrange);
    $("answer").replaceChildren(
      make("figure", {}, make("img", { src: address, alt: `The picture: ${name}` }),
        make("figcaption", { textContent: name })),
      make("div", {}, make("p", { className: "figure" }, make("strong", { textContent: answer })), table),
      make("figure", { className: "near" },
        make("img", { src: session.address(close) ?? "", alt: `Nearest: ${close.name}` }),
        make("figcaption", { textContent: `The nearest of your pictures, ${close.name}: ` +
          `${two(found.distance)} away. Beyond ${two(limit())} it is like nothing you showed me.` })));
    $("answer").hidden = false;
    return answer;
  }

  // Look at a picture and answer → the answer, or null where another came between.
  async function answer(file, name) {
    const mine = turn;
    const { features, thumbnail } = await engine("look", { file });
    if (mine !== turn) return null;
    if (latest) URL.revokeObjectURL(latest.address);
    latest = { name, features, address: URL.createObjectURL(thumbnail) };
    return draw();
  }

  function stop() {
    turn += 1;
    camera?.stop();
    camera = null;
    $("try-camera").textContent = "Use the camera";
  }

  async function take(files) {
    stop();
    complain("");
    const [file] = files;
    if (!file) {
      return complain("There was no picture file in that. Save the picture first, then choose it.");
    }
    say("Looking …");
    try {
      say(await answer(file, file.name));
    } catch (error) {
      complain(`${file.name}: ${error.message}`);
    }
  }

  // Answer one frame after another, until the camera is stopped.
  async function watch() {
    const mine = turn;
    let told = 0;
    while (mine === turn) {
      const found = await answer(await camera.frame(), "the camera");
      if (found && performance.now() - told > PAUSE) {
        say(found); // screen readers say it when it changes
        told = performance.now();
      }
    }
  }

  async function switchCamera() {
    const wasOn = Boolean(camera);
    stop();
    if (wasOn) return;
    complain("");
    const mine = turn;
    try {
      const opened = await openCamera(stop);
      if (mine !== turn) return opened.stop();
      camera = opened;
      $("try-camera").textContent = "Stop the camera";
      await watch();
    } catch (error) {
      stop();
      complain(error.message);
    }
  }

  // The slider, and what its threshold costs.
  function drawStrangeness() {
    const { distances } = result(), cost = make("p", { className: "hint", id: "cost" });
    const slider = make("input", { type: "range", id: "share", min: 0, max: MOST, step: 1,
      value: session.setting("share", USUAL) });
    const shown = make("output", { htmlFor: "share" });
    const tell = () => {
      const away = distances.filter((distance) => distance > limit()).length;
      const others = session.pictures.filter((picture) => session.classOf(picture).other);
      const noticed = others.filter(({ features }) =>
        features && nearest(features, units()).distance > limit()).length;
      shown.textContent = `${slider.value} %`;
      cost.textContent = `The threshold is a distance of ${two(limit())}. It costs: ` +
        `${away} of your own ${counted(distances.length, "picture")} would be turned away ` +
        `(${percent(away / distances.length)}), each compared with those that do not look like it. ` +
        (others.length ? `It gains: ${noticed} of ${counted(others.length, "picture")} of other ` +
          "things are noticed." : "What it gains, you can measure with pictures of other things. " +
          "Near relatives of your classes are the hardest.");
    };
    slider.addEventListener("input", async () => {
      await session.set("share", Number(slider.value));
      tell();
      draw();
    });
    const hasOthers = session.classes.some(({ other }) => other);
    const add = make("button", { type: "button", className: "button", id: "add-other",
      textContent: "Test with other things", hidden: hasOthers });
    add.addEventListener("click", async () => {
      await session.addClass(true);
      document.querySelector(".card.other input").focus();
    });
    tell();
    $("strangeness").replaceChildren(
      make("h3", { textContent: "“Like nothing you showed me”" }),
      make("p", { className: "hint", textContent: "A head answers with one of its classes whatever " +
        "it sees. So the page also asks how far the nearest of your pictures is." }),
      make("p", { className: "row" }, make("label", { htmlFor: "share",
        textContent: "Turn away at most this share of pictures like yours" }), slider, shown),
      cost, make("p", { className: "row" }, add));
  }

  $("try-file").addEventListener("change", () => {
    take([...$("try-file").files]);
    $("try-file").value = "";
  });
  $("try-camera").disabled = !hasCamera();
  $("try-camera").addEventListener("click", switchCamera);
  $("try").addEventListener("dragover", (event) => event.preventDefault());
  $("try").addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    take([...event.dataTransfer.files]);
  });

  // Draw again after training, or after everything was forgotten.
  return () => {
    if (!result()) {
      stop();
      latest = null;
    }
    if (result()) drawStrangeness();
    draw();
  };
}
