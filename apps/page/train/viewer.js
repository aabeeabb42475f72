// Pictures in a dialog, large enough to judge them: each can be moved to another class, or removed.

import { $, counted, make, menu } from "./parts.js";

// Show pictures until the visitor closes the dialog. find(): the pictures, asked again after each
// change; note(picture): what to say below one.
export function view(session, title, find, note = () => "") {
  const dialog = $("viewer");
  const close = make("button", { type: "button", className: "button", textContent: "Close" });
  close.addEventListener("click", () => dialog.close());
  const heading = make("h2", { id: "viewer-title" }), list = make("div", { className: "large" });

  const draw = () => {
    const pictures = find();
    heading.textContent = `${title}: ${counted(pictures.length, "picture")}`;
    list.replaceChildren(...pictures.map((picture) => {
      const own = session.classOf(picture);
      const others = session.classes.filter(({ id }) => id !== own.id);
      const move = menu(`Move ${picture.name}`, others, "Move to …", async (id) => {
        await session.move(picture.id, id);
        redraw();
      });
      const remove = make("button", { type: "button", className: "button quiet",
        textContent: "Remove", label: `Remove ${picture.name}` });
      remove.addEventListener("click", async () => {
        await session.remove(picture.id);
        redraw();
      });
      const alt = `${picture.name}, in ${own.name}`;
      return make("figure", {},
        make("img", { src: session.address(picture) ?? "", alt }),
        make("figcaption", {}, make("span", { textContent: picture.name }),
          make("span", { textContent: note(picture) })),
        make("div", { className: "ways" }, move, remove));
    }));
    return pictures.length;
  };
  // What had the focus is gone: it goes to the heading's button, or the dialog has nothing left.
  const redraw = () => (draw() ? close.focus() : dialog.close());

  draw();
  dialog.replaceChildren(make("div", { className: "bar-above" }, heading, close), list);
  dialog.showModal();
}
