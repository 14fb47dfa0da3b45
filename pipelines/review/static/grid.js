// A grid of all rows of which only those in view are elements; rows are fetched in blocks and kept.
import { leave, load } from "./pictures.js";
import { $, ask, el, hasPicture, plainTitle, source } from "./tools.js";

const BLOCK = 120;
const CAPTION = 40;
const GAP = 8;

export class Grid {
  constructor({ onOpen, onCount, onChoose, onProblem, hides }) {
    Object.assign(this, { onOpen, onCount, onChoose, onProblem, hides });
    this.box = $("grid");
    this.space = $("space");
    this.size = 180;
    this.total = 0;
    this.cursor = 0;
    this.blocks = new Map();
    this.chosen = new Set();
    this.tiles = new Map();
    this.round = 0;
    this.query = { chosen: "{}", sort: "n", desc: false };
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw(true)).observe(this.box);
    this.box.addEventListener("click", (event) => this.clicked(event));
    this.box.addEventListener("dblclick", () => this.onOpen(this.cursor));
  }

  get columns() {
    return Math.max(1, Math.floor((this.box.clientWidth - GAP) / (this.size + GAP)));
  }

  // Of a tile, so that a row of them fills the grid.
  get width() {
    return Math.floor((this.box.clientWidth - GAP) / this.columns) - GAP;
  }

  get rowHeight() {
    return this.size + CAPTION + GAP;
  }

  async show(query) {
    this.query = query;
    this.round += 1;
    this.blocks.clear();
    this.cursor = 0;
    this.box.scrollTop = 0;
    await this.fetchBlock(0);
    this.draw(true);
  }

  // The same rows again, because something was said of them.
  async refresh() {
    const wanted = [...new Set([Math.floor(this.cursor / BLOCK), ...this.seenBlocks()])];
    this.round += 1;
    this.blocks.clear();
    await Promise.all(wanted.map((block) => this.fetchBlock(block)));
    this.draw(true);
  }

  seenBlocks() {
    return [...new Set([...this.tiles.keys()].map((at) => Math.floor(at / BLOCK)))];
  }

  async fetchBlock(block) {
    if (this.blocks.has(block)) return this.blocks.get(block);
    const round = this.round;
    const asked = ask("/api/rows", { ...this.query, offset: block * BLOCK, limit: BLOCK })
      .then((found) => {
        if (round !== this.round) return [];
        this.total = found.total;
        this.blocks.set(block, found.rows);
        this.onProblem("");
        this.onCount(this.total);
        return found.rows;
      })
      .catch((error) => {
        if (round !== this.round) return [];
        this.blocks.set(block, []);
        this.total = 0;
        this.onProblem(error.message);
        this.onCount(0);
        return [];
      });
    this.blocks.set(block, asked);
    return asked;
  }

  rowNow(at) {
    const block = this.blocks.get(Math.floor(at / BLOCK));
    return Array.isArray(block) ? block[at % BLOCK] : undefined;
  }

  async row(at) {
    if (at < 0 || at >= this.total) return undefined;
    const block = await this.fetchBlock(Math.floor(at / BLOCK));
    return block[at % BLOCK];
  }

  draw(again = false) {
    const { columns, width } = this;
    this.space.style.height = `${Math.ceil(this.total / columns) * this.rowHeight + GAP}px`;
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.rowHeight) - 1);
    const last = Math.ceil((this.box.scrollTop + this.box.clientHeight) / this.rowHeight) + 1;
    const from = first * columns;
    const to = Math.min(this.total, last * columns);
    for (const [at, tile] of this.tiles) {
      if (again || at < from || at >= to) {
        tile.remove();
        tile.querySelectorAll("img").forEach(leave);
        this.tiles.delete(at);
      }
    }
    for (let at = from; at < to; at += 1) {
      const row = this.rowNow(at);
      if (!row) {
        const block = Math.floor(at / BLOCK);
        if (!this.blocks.has(block)) this.fetchBlock(block).then(() => this.draw());
        continue;
      }
      if (this.tiles.has(at)) continue;
      const tile = this.tile(at, row, columns, width);
      this.tiles.set(at, tile);
      this.space.append(tile);
    }
    this.mark();
  }

  tile(at, row, columns, width) {
    const hidden = this.hides(row);
    const labels = hidden ? [] : row.labels ?? [];
    const fate = hidden ? "" : row.keep ? "kept" : "dropped";
    const nothing = () => el("span", { class: "nothing" }, "no picture");
    const picture = !hasPicture(row) ? nothing() : el("img", {
      alt: "", loading: "eager", decoding: "async", draggable: false,
      onerror: (event) => event.target.replaceWith(nothing()),
    });
    if (hasPicture(row)) load(picture, source.picture(row, this.detail ? "image" : "thumbnail"));
    const said = hidden ? "" : row.verdict && row.verdict !== "skip" ? row.verdict : row.verdict === "skip" ? "skipped" : "";
    const name = plainTitle(row.title);
    const told = [name, fate, hidden ? "" : row.reason, labels.join(", "), said && `said: ${said}`].filter(Boolean).join("; ");
    const tile = el("div", {
      id: `tile-${at}`, class: `tile ${fate}`, role: "option", "aria-selected": "false", "data-at": String(at),
      title: told,
    },
    el("div", { class: this.detail ? "frame detail" : "frame" }, picture),
    fate ? el("span", { class: "hidden" }, fate) : null,
    said ? el("span", { class: `said ${row.verdict}` }, said) : null,
    el("div", { class: "caption" },
      el("span", { class: "name" }, el("bdi", {}, name)),
      el("span", { class: "note" }, hidden ? "" : [labels.join(" "), fate === "dropped" ? row.reason : "", row.severity === null || row.severity === undefined ? "" : row.severity.toFixed(2)].filter(Boolean).join(" · "))));
    const place = tile.style;
    place.width = `${width}px`;
    place.height = `${this.size + CAPTION}px`;
    place.transform = `translate(${GAP + (at % columns) * (width + GAP)}px, ${GAP + Math.floor(at / columns) * this.rowHeight}px)`;
    return tile;
  }

  mark() {
    for (const [at, tile] of this.tiles) {
      tile.classList.toggle("cursor", at === this.cursor);
      const row = this.rowNow(at);
      const chosen = row ? this.chosen.has(row.n) : false;
      tile.classList.toggle("chosen", chosen);
      tile.setAttribute("aria-selected", String(chosen));
    }
    if (this.tiles.has(this.cursor)) this.box.setAttribute("aria-activedescendant", `tile-${this.cursor}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  clicked(event) {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    const at = Number(tile.dataset.at);
    if (event.shiftKey) this.chooseRange(this.cursor, at);
    else if (event.ctrlKey || event.metaKey) this.toggle(at);
    else if (matchMedia("(pointer: coarse)").matches || at === this.cursor) this.onOpen(at);
    this.goTo(at);
  }

  async goTo(at) {
    if (!this.total) return;
    this.cursor = Math.min(Math.max(0, at), this.total - 1);
    const top = Math.floor(this.cursor / this.columns) * this.rowHeight;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    if (top + this.rowHeight > this.box.scrollTop + this.box.clientHeight) {
      this.box.scrollTop = top + this.rowHeight - this.box.clientHeight + GAP;
    }
    this.draw();
  }

  async toggle(at) {
    const row = await this.row(at);
    if (!row) return;
    if (!this.chosen.delete(row.n)) this.chosen.add(row.n);
    this.onChoose(this.chosen.size);
    this.mark();
  }

  async chooseRange(from, to) {
    const [low, high] = from < to ? [from, to] : [to, from];
    for (let at = low; at <= high; at += 1) {
      const row = await this.row(at);
      if (row) this.chosen.add(row.n);
    }
    this.onChoose(this.chosen.size);
    this.mark();
  }

  async chooseAll() {
    const { ns } = await ask("/api/order", this.query);
    this.chosen = new Set(ns);
    this.onChoose(this.chosen.size);
    this.mark();
  }

  clear() {
    this.chosen.clear();
    this.onChoose(0);
    this.mark();
  }

  resize(size) {
    const at = this.cursor;
    this.size = size;
    this.draw(true);
    this.goTo(at);
  }

  // How far an arrow goes.
  step(key) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.rowHeight)) * this.columns;
    return {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns,
      PageDown: page, PageUp: -page, Home: -this.total, End: this.total,
    }[key];
  }
}
