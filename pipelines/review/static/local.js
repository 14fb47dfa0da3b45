// Answers what the server would be asked, from columns of one Parquet file in memory. hyparquet (MIT) reads the file.
import { parquetMetadata, parquetRead } from "./hyparquet/index.js";

const MOST_FACET = 400;
// As in catalog/browse.py.
const LISTS = ["labels", "failed", "borderline", "categories"];
const ONE_OF = ["license", "uploader", "source", "reason", "split", "family", "object", "alone", "year"];

export async function opened(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  const file = await answer.arrayBuffer();
  const metadata = parquetMetadata(file);
  const told = metadata.key_value_metadata.find((pair) => pair.key === "lucidlr");
  if (!told) throw new Error(`${path} is not an index of LucidLR`);
  const count = Number(metadata.num_rows);
  const columns = {};
  const put = ({ columnName, columnData, rowStart }) => {
    columns[columnName] ??= new Array(count).fill(null);
    for (let i = 0; i < columnData.length; i += 1) columns[columnName][rowStart + i] = columnData[i];
  };
  await parquetRead({ file, metadata, onChunk: put });
  return new Local(JSON.parse(told.value), columns, count);
}

export class Local {
  constructor(told, columns, count) {
    Object.assign(this, { told, columns, count });
    this.names = Object.keys(columns);
    this.titles = (columns.title ?? []).map((title) => String(title ?? "").toLowerCase());
    this.found = { key: null, ns: [] };
  }

  async ask(path, parameters = {}) {
    if (path === "/api/about") return this.about();
    const ns = () => this.ordered(JSON.parse(parameters.chosen ?? "{}"), parameters.sort ?? "n", parameters.desc);
    if (path === "/api/order") return { ns: ns() };
    if (path === "/api/rows") {
      const all = ns();
      const offset = Number(parameters.offset ?? 0);
      return { total: all.length, rows: all.slice(offset, offset + Number(parameters.limit ?? 100)).map((n) => this.row(n)) };
    }
    const item = /^\/api\/item\/(\d+)$/.exec(path);
    if (item && Number(item[1]) < this.count) return this.item(Number(item[1]));
    throw new Error(`This page cannot answer ${path}.`);
  }

  about() {
    const facets = {};
    for (const name of [...LISTS, ...ONE_OF]) if (this.columns[name]) facets[name] = this.facet(name);
    return {
      ...this.told, rows: this.count, all_columns: this.names, facets,
      writable: false, reviews: false, sql: false, reviewer: "", sample: null, sample_rows: [], blind: false, bounds: [],
    };
  }

  // (value, rows), the most frequent first.
  facet(name) {
    const counts = new Map();
    for (const value of this.columns[name]) {
      for (const one of LISTS.includes(name) ? value ?? [] : [value]) {
        if (one !== null && one !== undefined) counts.set(one, (counts.get(one) ?? 0) + 1);
      }
    }
    const order = ([a, n], [b, m]) => m - n || (a < b ? -1 : 1);
    return [...counts].sort(order).slice(0, MOST_FACET);
  }

  row(n) {
    const made = { n };
    for (const name of this.names) made[name] = this.columns[name][n];
    return made;
  }

  item(n) {
    const row = this.row(n);
    const twins = [];
    if (row.cluster_id !== null && row.cluster_id !== undefined) {
      for (let i = 0; i < this.count && twins.length < 24; i += 1) {
        if (i !== n && this.columns.cluster_id[i] === row.cluster_id) twins.push(this.row(i));
      }
    }
    return { row, explain: [], places: this.places(row), credit: row.attribution_line ?? "", twins, said: [] };
  }

  // Column of numbers -> the row's value, and the share of the known values that are lower.
  places(row) {
    const found = {};
    for (const name of this.told.columns) {
      const mine = row[name];
      if (mine === null || mine === undefined) continue;
      let known = 0;
      let lower = 0;
      for (const value of this.columns[name]) {
        if (value === null) continue;
        known += 1;
        if (value < mine) lower += 1;
      }
      found[name] = [mine, lower / known];
    }
    return found;
  }

  // `n` of the rows of a filter, sorted; the last answer is kept, as a grid asks for it block by block.
  ordered(chosen, sort, desc) {
    const down = desc === true || desc === "true";
    const key = JSON.stringify([chosen, sort, down]);
    if (this.found.key === key) return this.found.ns;
    const tests = Object.entries(chosen).map(([name, wanted]) => this.test(name, wanted));
    const ns = [];
    for (let n = 0; n < this.count; n += 1) if (tests.every((test) => test(n))) ns.push(n);
    if (sort !== "n") {
      const values = this.columns[sort];
      if (!values) throw new Error(`There is no column ${sort} to sort by.`);
      const sign = down ? -1 : 1;
      ns.sort((a, b) => {
        const [x, y] = [values[a], values[b]];
        // What is not known comes last, whichever way.
        if (x === null || y === null) return (x === null) - (y === null) || a - b;
        return x === y ? a - b : x < y ? -sign : sign;
      });
    } else if (down) ns.reverse();
    this.found = { key, ns };
    return ns;
  }

  test(name, wanted) {
    const { columns, titles } = this;
    if (name === "text") {
      const words = String(wanted).toLowerCase().split(/\s+/).filter(Boolean);
      return (n) => words.every((word) => titles[n].includes(word) || columns.page_id?.[n] === word);
    }
    if (name === "verdict") return (n) => columns.keep[n] === (wanted === "kept");
    if (name === "cluster") return (n) => columns.cluster_id?.[n] === String(wanted);
    if (name === "low" || name === "high") {
      const bounds = Object.entries(wanted);
      return (n) => bounds.every(([column, bound]) => {
        const value = columns[column]?.[n];
        return value !== null && value !== undefined && (name === "low" ? value >= bound : value <= bound);
      });
    }
    if (!columns[name]) throw new Error(`There is no filter ${name}.`);
    const values = new Set([wanted].flat().map(String));
    if (LISTS.includes(name)) return (n) => (columns[name][n] ?? []).some((one) => values.has(String(one)));
    return (n) => columns[name][n] !== null && values.has(String(columns[name][n]));
  }
}
