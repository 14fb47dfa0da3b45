// One picture: its pixels, all that is known of it, its twins, and what people say.
import { $, ask, el, hasPicture, plainTitle, short, source, webAddress } from "./tools.js";

// Pictures that zoom and move together.
class Panes {
  constructor() {
    this.panes = [];
    this.reset();
  }

  reset() {
    Object.assign(this, { zoom: 0, x: 0.5, y: 0.5 });
  }

  add(row) {
    const title = plainTitle(row.title);
    if (!hasPicture(row)) return el("p", { class: "pane nothing" }, "There is no picture: it was not fetched.");
    const image = el("img", { src: source.picture(row, "image"), alt: title, draggable: false, onload: () => this.place() });
    const pane = el("div", { class: "pane" }, image);
    pane.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.by(event.deltaY < 0 ? 1.25 : 0.8, pane, event);
    }, { passive: false });
    pane.addEventListener("pointerdown", (event) => this.drag(event, pane, image));
    pane.addEventListener("dblclick", (event) => { this.toggle(pane, event); });
    this.panes.push({ pane, image });
    return pane;
  }

  scaleOf({ pane, image }) {
    const fit = Math.min(pane.clientWidth / image.naturalWidth, pane.clientHeight / image.naturalHeight);
    return this.zoom ? this.zoom : Math.min(fit, 8);
  }

  // The point of the picture in the middle of each pane is the same share of its sides, at the same scale.
  place() {
    for (const one of this.panes) {
      if (!one.image.naturalWidth) continue;
      const scale = this.scaleOf(one);
      const { style } = one.image;
      style.width = `${one.image.naturalWidth * scale}px`;
      style.height = `${one.image.naturalHeight * scale}px`;
      style.left = `${one.pane.clientWidth / 2 - this.x * one.image.naturalWidth * scale}px`;
      style.top = `${one.pane.clientHeight / 2 - this.y * one.image.naturalHeight * scale}px`;
      style.imageRendering = scale >= 2 ? "pixelated" : "auto";
      one.pane.dataset.zoom = scale.toFixed(3);
    }
  }

  by(factor, pane, event) {
    const one = this.panes.find((each) => each.pane === pane) ?? this.panes[0];
    if (!one?.image.naturalWidth) return;
    const before = this.scaleOf(one);
    const after = Math.min(32, Math.max(0.02, before * factor));
    if (event) {
      // The pixel under the pointer stays there.
      const box = one.pane.getBoundingClientRect();
      const dx = event.clientX - box.left - box.width / 2;
      const dy = event.clientY - box.top - box.height / 2;
      this.x += (dx / before - dx / after) / one.image.naturalWidth;
      this.y += (dy / before - dy / after) / one.image.naturalHeight;
    }
    this.zoom = after;
    this.place();
  }

  toggle(pane, event) {
    if (this.zoom) this.reset();
    else {
      const one = this.panes.find((each) => each.pane === pane) ?? this.panes[0];
      const scale = one?.image.naturalWidth ? this.scaleOf(one) : 1;
      this.by(1 / scale, pane, event);
    }
    this.place();
  }

  drag(event, pane, image) {
    if (event.button) return;
    pane.setPointerCapture(event.pointerId);
    const one = { pane, image };
    const move = (moved) => {
      const scale = this.scaleOf(one);
      this.x -= moved.movementX / (image.naturalWidth * scale);
      this.y -= moved.movementY / (image.naturalHeight * scale);
      this.place();
    };
    const end = () => pane.removeEventListener("pointermove", move);
    pane.addEventListener("pointermove", move);
    pane.addEventListener("pointerup", end, { once: true });
    pane.addEventListener("pointercancel", end, { once: true });
  }
}

export class Viewer {
  constructor({ about, act, go, hides }) {
    Object.assign(this, { about, act, go, hides });
    this.dialog = $("viewer");
    this.panes = new Panes();
    this.label = 0;
    this.twins = [];
    this.n = null;
    // What is answered of a picture of a sample, before it is said.
    this.picked = new Set();
    addEventListener("resize", () => this.panes.place());
  }

  get open() {
    return this.dialog.open;
  }

  async show(n, at, total) {
    const changed = n !== this.n;
    const found = await ask(`/api/item/${n}`);
    this.found = found;
    if (changed) {
      this.n = n;
      this.label = Math.max(0, this.about.labels.indexOf((found.row.labels ?? [])[0]));
      this.twins = [];
      this.panes.reset();
      this.picked = new Set(this.hides(found.row) ? [] : found.row.labels ?? []);
      if (found.said.length) {
        for (const word of found.said) {
          if (word.reviewer !== this.about.reviewer) continue;
          if (word.what === "right_label") this.picked.add(word.label);
          if (word.what === "wrong_label") this.picked.delete(word.label);
        }
      }
    }
    this.at = at;
    this.total = total;
    this.draw();
    if (!this.dialog.open) this.dialog.showModal();
    this.panes.place();
  }

  close() {
    this.dialog.close();
    this.n = null;
  }

  draw() {
    const { row, said } = this.found;
    const hidden = this.hides(row);
    this.panes.panes = [];
    const title = plainTitle(row.title);
    const link = webAddress(row.file_page_url);
    const stage = el("div", { class: "stage" }, this.panes.add(row), ...this.twins.map((twin) => this.panes.add(twin)));
    const parts = [
      el("h2", { id: "viewer-title" }, el("bdi", {}, title)),
      el("p", { class: "where" }, `${this.at + 1} of ${this.total.toLocaleString("en")} · ${row.width ?? "?"} × ${row.height ?? "?"}${row.license ? ` · ${row.license}` : ""}`,
        link ? el("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, "on Commons") : null),
      this.chips(row, said, hidden),
      this.about.writable ? this.buttons() : null,
      hidden ? null : this.words(said),
    ];
    if (!hidden) {
      parts.push(
        el("p", { class: `fate ${row.keep ? "kept" : "dropped"}` }, row.keep ? "kept" : `dropped: ${row.reason}`),
        this.pictures(),
        ...(this.found.explain.length ? [el("h3", {}, "Ledger"), el("pre", { class: "ledger", tabIndex: 0 }, this.found.explain.join("\n"))] : []),
        el("h3", {}, "Measures, and where they lie among all"), this.measures(),
      );
    }
    if (this.found.credit) parts.push(el("h3", {}, "Credit"), el("p", { class: "credit" }, el("bdi", {}, this.found.credit)));
    const side = el("div", { class: "side" }, ...parts.filter(Boolean));
    const bar = el("div", { class: "viewer-bar" },
      el("button", { type: "button", id: "close-viewer", onclick: () => this.close() }, "Close"),
      el("button", { type: "button", "aria-label": "Previous picture", onclick: () => this.go(-1) }, "←"),
      el("button", { type: "button", "aria-label": "Next picture", onclick: () => this.go(1) }, "→"),
      el("button", { type: "button", id: "zoom-in", "aria-label": "Larger", onclick: () => this.panes.by(1.5) }, "+"),
      el("button", { type: "button", "aria-label": "Smaller", onclick: () => this.panes.by(1 / 1.5) }, "−"),
      el("button", { type: "button", id: "one-to-one", onclick: () => this.panes.toggle() }, "1:1"));
    const focused = document.activeElement?.id;
    this.dialog.replaceChildren(bar, el("div", { class: "parts" }, stage, side));
    if (focused && $(focused)) $(focused).focus();
  }

  chips(row, said, hidden) {
    const has = new Set(hidden ? [] : row.labels ?? []);
    const mine = new Map(said.filter((word) => word.reviewer === this.about.reviewer && word.label).map((word) => [word.label, word.what]));
    const chips = this.about.labels.map((name, i) => {
      const told = this.about.sample ? (this.picked.has(name) ? "picked" : "") : mine.get(name) ?? "";
      return el("button", {
        type: "button", class: `chip ${has.has(name) ? "has" : ""} ${told} ${i === this.label ? "active" : ""}`, "data-label": name,
        "aria-pressed": String(this.about.sample ? this.picked.has(name) : i === this.label),
        onclick: () => this.pick(i),
      }, `${i + 1} ${name}`, hidden || row[`severity_${name}`] === null || row[`severity_${name}`] === undefined ? "" : ` ${row[`severity_${name}`].toFixed(2)}`,
      told === "wrong_label" ? " ✗" : told === "right_label" ? " ✓" : "");
    });
    return el("div", { class: "chips", role: "group", "aria-label": "Labels" }, ...chips);
  }

  pick(i) {
    if (i >= this.about.labels.length) return;
    this.label = i;
    const name = this.about.labels[i];
    if (this.about.sample && !this.picked.delete(name)) this.picked.add(name);
    this.draw();
    this.panes.place();
  }

  buttons() {
    const made = (what, text) => el("button", { type: "button", class: `act ${what}`, id: `act-${what}`, onclick: () => this.act(what) }, text);
    return el("div", { class: "acts" }, made("keep", "Keep"), made("drop", "Drop"),
      ...(this.about.sample ? [] : [made("wrong_label", "Wrong label"), made("right_label", "Right label")]),
      made("skip", "Skip"), made("undo", "Undo"),
      el("input", { id: "why", type: "text", maxLength: 500, placeholder: "Why (optional)", "aria-label": "Why, optional" }));
  }

  words(said) {
    if (!said.length) return null;
    return el("ul", { class: "words" }, ...said.map((word) => el("li", {}, el("bdi", {}, word.reviewer), `: ${word.what.replace("_", " ")}${word.label ? ` ${word.label}` : ""}${word.why ? `, ${word.why}` : ""}`)));
  }

  pictures() {
    const { twins } = this.found;
    if (!twins.length) return null;
    return el("div", {}, el("h3", {}, "Twins"), el("div", { class: "twins" }, ...twins.map((twin) => el("button", {
      type: "button", class: `twin ${twin.keep ? "kept" : "dropped"}`, "aria-pressed": String(this.twins.some((one) => one.n === twin.n)),
      title: `${plainTitle(twin.title)}: ${twin.reason}`,
      onclick: () => {
        this.twins = this.twins.some((one) => one.n === twin.n) ? [] : [twin];
        this.draw();
        this.panes.place();
      },
    }, hasPicture(twin) ? el("img", { src: source.picture(twin, "thumbnail"), alt: `Side by side with ${plainTitle(twin.title)}` }) : null, el("span", {}, twin.keep ? "kept" : twin.reason)))));
  }

  measures() {
    const rows = Object.entries(this.found.places).map(([name, [value, share]]) => el("tr", {},
      el("th", { scope: "row" }, name), el("td", { class: "n" }, name === "year" ? String(value) : short(value)),
      el("td", {}, el("meter", { min: 0, max: 1, value: share, "aria-label": `${name}: above ${Math.round(100 * share)} % of all` })),
      el("td", { class: "n" }, `${Math.round(100 * share)} %`)));
    return el("table", { class: "measures" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "measure"), el("th", { scope: "col" }, "value"), el("th", { scope: "col" }, "place"), el("th", { scope: "col" }, "above"))), el("tbody", {}, ...rows));
  }
}
