// The filter panel: made from what the rows hold; every change is one question to the server.
import { $, el, later } from "./tools.js";

const NAMES = {
  labels: "Label", reason: "Dropped by", failed: "Fails rule", alone: "Fails only", borderline: "Borderline of",
  license: "License", family: "License family", uploader: "Uploader", categories: "Category", year: "Year", source: "Source",
  split: "Split", object: "File",
};

export class Filters {
  constructor(about, onChange) {
    this.about = about;
    this.chosen = {};
    this.changed = later(() => onChange(), 120);
    // What all rows have in common tells none of them apart.
    const tells = (values) => values.length > 1 || values.some(([, count]) => count < about.rows);
    const panel = $("filters");
    panel.append(
      el("div", { class: "head" }, el("h2", {}, "Filters"), el("button", { type: "button", id: "clear-filters", onclick: () => this.clear() }, "Clear")),
      tells(about.facets.reason ?? []) ? this.select("verdict", "By the filter", [["kept", "kept"], ["dropped", "dropped"]]) : "",
      about.reviews ? this.select("reviewed", "By people", [["yes", "reviewed"], ["no", "not reviewed"], ["keep", "keep"], ["drop", "drop"], ["disputed", "disputed"]]) : "",
    );
    for (const [name, values] of Object.entries(about.facets)) {
      if (tells(values)) panel.append(this.facet(name, values));
    }
    panel.append(this.range("severity", "Severity"), this.range("width", "Width in pixels"), this.range("height", "Height in pixels"));
    panel.append(this.anyRange(), about.sql ? this.where() : "");
    $("text").addEventListener("input", () => this.set("text", $("text").value));
  }

  get query() {
    return JSON.stringify(this.chosen);
  }

  set(key, value) {
    const empty = value === "" || value === null || (Array.isArray(value) && !value.length) || (typeof value === "object" && value && !Array.isArray(value) && !Object.keys(value).length);
    if (empty) delete this.chosen[key];
    else this.chosen[key] = value;
    this.changed();
  }

  clear() {
    this.chosen = {};
    for (const input of $("filters").querySelectorAll("input, select, textarea")) {
      if (input.type === "checkbox") input.checked = false;
      else input.value = "";
    }
    $("text").value = "";
    this.changed();
  }

  select(key, name, values) {
    const list = el("select", { id: `filter-${key}`, onchange: () => this.set(key, list.value) }, el("option", { value: "" }, "all"),
      ...values.map(([value, shown]) => el("option", { value }, shown)));
    return el("label", { class: "line" }, name, list);
  }

  // Few values are boxes to tick, many are a list to type into.
  facet(name, values) {
    const title = NAMES[name] ?? name;
    const tick = (value, count) => {
      const box = el("input", {
        type: "checkbox", value: String(value), "data-facet": name,
        onchange: () => {
          const ticked = [...$("filters").querySelectorAll(`input[data-facet="${name}"]:checked`)].map((one) => one.value);
          this.set(name, ticked);
        },
      });
      return el("label", { class: "tick" }, box, el("bdi", {}, String(value)), el("span", { class: "n" }, count.toLocaleString("en")));
    };
    const boxes = el("div", { class: "ticks" }, ...values.slice(0, 12).map(([value, count]) => tick(value, count)));
    const parts = [el("summary", {}, title), boxes];
    if (values.length > 12) {
      const list = el("datalist", { id: `values-${name}` }, ...values.map(([value]) => el("option", { value: String(value) })));
      const more = el("input", { type: "search", placeholder: `Another ${title.toLowerCase()}`, "aria-label": `Another ${title.toLowerCase()}`, onchange: () => {
        const found = values.find(([value]) => String(value) === more.value);
        const there = [...boxes.querySelectorAll("input")].find((box) => box.value === more.value);
        if (!found) return;
        const box = there ?? boxes.appendChild(tick(...found)).querySelector("input");
        box.checked = true;
        box.dispatchEvent(new Event("change"));
        more.value = "";
      } });
      more.setAttribute("list", list.id);
      parts.push(more, list);
    }
    return el("details", { open: ["labels", "reason"].includes(name), "data-name": name }, ...parts);
  }

  bound(side, name, value) {
    const bounds = { ...(this.chosen[side] ?? {}) };
    if (value === "" || Number.isNaN(Number(value))) delete bounds[name];
    else bounds[name] = Number(value);
    this.set(side, bounds);
  }

  range(name, title) {
    if (!this.about.columns.includes(name)) return "";
    const input = (side, hint) => {
      const made = el("input", { type: "number", step: "any", placeholder: hint, "aria-label": `${title}, ${hint}`, id: `${side}-${name}`, oninput: () => this.bound(side, name, made.value) });
      return made;
    };
    return el("div", { class: "line" }, el("span", {}, title), el("span", { class: "pair" }, input("low", "from"), input("high", "to")));
  }

  anyRange() {
    const place = el("div");
    const list = el("select", { "aria-label": "Measure or score", onchange: () => place.replaceChildren(list.value ? this.range(list.value, list.value) : "") },
      el("option", { value: "" }, "Measure or score …"), ...this.about.columns.map((name) => el("option", { value: name }, name)));
    return el("details", {}, el("summary", {}, "Measures and scores"), list, place);
  }

  where() {
    const box = el("textarea", { id: "where", rows: 3, spellcheck: false, placeholder: "severity > 0.8 AND width < 1000", "aria-label": "Condition in SQL", oninput: () => this.set("where", box.value.trim()) });
    return el("details", { id: "where-part" }, el("summary", {}, "where (DuckDB)"), box, el("p", { class: "hint" }, `Columns: ${this.about.all_columns.join(", ")}. Lists: list_contains(labels, 'blur').`));
  }
}
