// Thresholds as sliders on histograms; what comes in and what goes is shown at once, and a set can be saved as a recipe.
import { $, ask, el, later, short, tell, toast } from "./tools.js";

const SHOWN = 24;

export class Thresholds {
  constructor(about, onOpen) {
    this.about = about;
    this.onOpen = onOpen;
    this.values = new Map();
    this.round = 0;
    this.asked = later(() => this.ask(), 150);
    this.built = false;
  }

  async build() {
    if (this.built) return;
    this.built = true;
    const panel = $("thresholds");
    panel.append(el("div", { class: "head" }, el("h2", {}, "Thresholds")));
    if (!this.about.bounds.length) {
      panel.append(el("p", {}, "There is no rule with a bound on a number here."));
      return;
    }
    for (const bound of this.about.bounds) panel.append(await this.slider(bound));
    const name = el("input", { id: "recipe-name", type: "text", placeholder: "name", maxLength: 60, "aria-label": "Name of the recipe" });
    panel.append(
      el("p", { id: "moved", role: "status" }, "Move a bound to see what comes in and what goes."),
      el("div", { class: "save" }, name, el("button", { id: "save-recipe", type: "button", onclick: () => this.save(name.value) }, "Save as recipe")),
      el("p", { id: "saved", role: "status" }),
      el("h3", { id: "entering-title" }, "Would come in"), el("div", { id: "entering", class: "strip" }),
      el("h3", { id: "leaving-title" }, "Would go"), el("div", { id: "leaving", class: "strip" }),
    );
  }

  async slider(bound) {
    const bins = await ask("/api/histogram", { column: bound.column });
    const low = Math.min(bins.low, bound.bound);
    const high = Math.max(bins.high, bound.bound);
    const canvas = el("canvas", { width: 480, height: 90, role: "img", "aria-label": `Histogram of ${bound.column}` });
    const key = `${bound.rule}.${bound.side}`;
    const number = el("input", { type: "number", step: "any", value: bound.bound, "aria-label": `${key} as a number` });
    const slide = el("input", { type: "range", id: `bound-${bound.rule}-${bound.side}`, min: low, max: high, step: "any", value: bound.bound, "aria-label": `${key}` });
    const moved = (value) => {
      if (Number.isNaN(value)) return;
      slide.value = value;
      number.value = Number(value.toPrecision(5));
      if (value === bound.bound) this.values.delete(key);
      else this.values.set(key, Number(value.toPrecision(5)));
      this.paint(canvas, bins, low, high, value);
      this.asked();
    };
    slide.addEventListener("input", () => moved(Number(slide.value)));
    number.addEventListener("change", () => moved(Number(number.value)));
    this.paint(canvas, bins, low, high, bound.bound);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint(canvas, bins, low, high, Number(slide.value)));
    document.addEventListener("themechange", () => this.paint(canvas, bins, low, high, Number(slide.value)));
    return el("section", { class: "bound", title: bound.why }, el("h3", {}, `${bound.rule} `, el("small", {}, `${bound.column} ${bound.side === "min" ? "≥" : "≤"} ${short(bound.bound)}`)), canvas, slide,
      el("div", { class: "save" }, number, el("button", { type: "button", onclick: () => moved(bound.bound) }, "As it was")));
  }

  paint(canvas, bins, low, high, value) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const pen = canvas.getContext("2d");
    const { width, height } = canvas;
    pen.clearRect(0, 0, width, height);
    const tall = Math.max(1, ...bins.kept.map((count, i) => count + bins.dropped[i]));
    const x = (v) => ((v - low) / (high - low)) * width;
    const step = (bins.high - bins.low) / bins.kept.length;
    bins.kept.forEach((count, i) => {
      const left = x(bins.low + i * step);
      const wide = Math.max(1, x(bins.low + (i + 1) * step) - left - 1);
      const kept = (count / tall) * (height - 6);
      const dropped = (bins.dropped[i] / tall) * (height - 6);
      pen.fillStyle = colour("--kept");
      pen.fillRect(left, height - kept, wide, kept);
      pen.fillStyle = colour("--dropped");
      pen.fillRect(left, height - kept - dropped, wide, dropped);
    });
    pen.fillStyle = colour("--threshold");
    pen.fillRect(x(value) - 1, 0, 2, height);
  }

  get changes() {
    return [...this.values].map(([key, value]) => `${key}=${value}`);
  }

  async ask() {
    this.round += 1;
    const round = this.round;
    try {
      const found = await tell("/api/moved", { changes: this.changes });
      if (round !== this.round) return;
      $("moved").textContent = `kept ${found.kept_before.toLocaleString("en")} → ${found.kept_after.toLocaleString("en")}; ${found.counts.entering} come in, ${found.counts.leaving} go`;
      for (const side of ["entering", "leaving"]) {
        $(side).replaceChildren(...found[side].slice(0, SHOWN).map((n) => el("button", { type: "button", "data-n": String(n), "aria-label": `Picture ${n}`, onclick: () => this.onOpen(n) }, el("img", { src: `/thumbnail/${n}`, alt: "" }))));
      }
    } catch (error) {
      if (round === this.round) $("moved").textContent = error.message;
    }
  }

  async save(name) {
    try {
      const saved = await tell("/api/moved", { changes: this.changes, name });
      $("saved").textContent = `Saved. Next: ${saved.next}`;
      toast("Recipe saved");
    } catch (error) {
      $("saved").textContent = error.message;
    }
  }
}
