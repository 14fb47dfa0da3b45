// The page: puts grid, filters, viewer and thresholds together; keys; verdicts and their undo.
import { $, ask, el, problem, tell, toast } from "./tools.js";
import { Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { Thresholds } from "./thresholds.js";
import { Viewer } from "./viewer.js";

const KEYS = [
  ["arrows, Page, Home, End", "move"], ["Enter, Esc", "open and close the large view"], ["k, d, s", "keep, drop, skip"],
  ["1 to 8", "choose a label (in a sample: say that it is there, or not)"], ["w, r", "wrong label, right label (the chosen one)"],
  ["u", "take the last verdict back"], ["x, Shift with arrows, a", "choose one, a stretch, all that the filter shows; k, d, s then mean all of them"],
  ["z, + and −", "1:1, larger and smaller"], ["t", "put the first twin beside it"], ["/", "search"], ["f, h", "filters, thresholds"], ["?", "these keys"],
];

const root = document.documentElement;
const about = await ask("/api/about");
const history = [];
let busy = Promise.resolve();

document.title = `${about.title} · ${about.writable ? "review" : "explore"}`;
$("title").textContent = about.title;

// Blind: neither what was measured nor what others say is shown until one has answered.
const hides = (row) => about.blind && !row.answered;

const filters = new Filters(about, () => show());
const grid = new Grid({
  hides,
  onOpen: (at) => openAt(at),
  onCount: (total) => {
    const what = about.sample ? `sample ${about.sample}: ` : "";
    $("count").textContent = `${what}${total.toLocaleString("en")} of ${about.rows.toLocaleString("en")}`;
  },
  onChoose: (count) => {
    $("bulk").hidden = !count || !about.writable;
    $("chosen-count").textContent = `${count.toLocaleString("en")} chosen`;
  },
  onProblem: problem,
});
const viewer = new Viewer({ about, hides, act: (what) => act(what), go: (by) => go(by) });
const thresholds = new Thresholds(about, (n) => viewer.show(n, 0, 1));

const order = el("option", { value: "n" }, "page id");
$("sort").append(order, ...about.columns.map((name) => el("option", { value: name }, name)));

function query() {
  const chosen = { ...filters.chosen };
  if (about.sample) chosen.ns = about.sample_rows;
  return { chosen: JSON.stringify(chosen), sort: $("sort").value, desc: $("direction").getAttribute("aria-pressed") === "true" };
}

async function show() {
  grid.clear();
  await grid.show(query());
}

async function openAt(at) {
  const row = await grid.row(at);
  if (!row) return;
  await grid.goTo(at);
  await viewer.show(row.n, at, grid.total);
}

async function go(by) {
  const at = Math.min(Math.max(0, grid.cursor + by), grid.total - 1);
  if (viewer.open) await openAt(at);
  else await grid.goTo(at);
}

// One verdict after the other, whatever is typed meanwhile: each is on the disk before the next is sent.
function act(what) {
  busy = busy.then(() => acted(what)).catch((error) => toast(error.message));
  return busy;
}

// What is pressed while a verdict is on its way means the picture that comes after it.
function then(work) {
  busy = busy.then(work).catch((error) => toast(error.message));
}

async function acted(what) {
  if (!about.writable) throw new Error("This page is read-only.");
  if (what === "undo") return undo();
  const why = viewer.open ? $("why")?.value ?? "" : "";
  const bulk = !viewer.open && grid.chosen.size > 0;
  const at = grid.cursor;
  const ns = bulk ? [...grid.chosen] : [viewer.open ? viewer.n : (await grid.row(at))?.n];
  if (ns[0] === undefined) return undefined;
  const content = { ns, why, said: [[what, null]] };
  if (what === "wrong_label" || what === "right_label") content.said = [[what, await label(at)]];
  else if (about.sample && viewer.open && what !== "skip") content.labels = [...viewer.picked];
  else if (about.sample && what !== "skip") throw new Error("Open the picture (Enter): a sample asks for its labels, too.");
  const { ids, rows } = await tell("/api/verdict", content);
  history.push(ids);
  toast(`${what.replace("_", " ")}${rows > 1 ? `: ${rows} pictures` : ""} (u takes it back)`);
  await grid.refresh();
  if (bulk) {
    grid.clear();
  } else if (what.endsWith("_label")) {
    if (viewer.open) await viewer.show(viewer.n, at, grid.total);
  } else if (grid.rowNow(at)?.n === ns[0] || about.sample) {
    await go(1);
  } else if (viewer.open) {
    // It left the filter: the next one has its place.
    if (grid.total) await openAt(Math.min(at, grid.total - 1));
    else viewer.close();
  }
  return undefined;
}

async function label(at) {
  if (viewer.open) return about.labels[viewer.label];
  const row = await grid.row(at);
  const first = (row?.labels ?? [])[0];
  if (!first) throw new Error("It has no label: open it (Enter) and choose one.");
  return first;
}

async function undo() {
  const ids = history.pop();
  if (!ids) throw new Error("Nothing to take back in this visit.");
  const { ns } = await tell("/api/undo", { ids });
  toast("Taken back");
  await grid.refresh();
  if (viewer.open && ns.includes(viewer.n)) await viewer.show(viewer.n, grid.cursor, grid.total);
}

function fold(button, panel) {
  const open = $(panel).hidden;
  $(panel).hidden = !open;
  $(button).setAttribute("aria-expanded", String(open));
  if (panel === "thresholds" && open) thresholds.build().catch((error) => toast(error.message));
  grid.draw(true);
}

function theme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  $("theme").textContent = dark ? "Dark" : "Light";
  document.dispatchEvent(new Event("themechange"));
}

function help() {
  $("help").replaceChildren(el("h2", { id: "help-title" }, "Keys"), el("table", {}, el("tbody", {}, ...KEYS.map(([keys, does]) => el("tr", {}, el("th", { scope: "row" }, keys), el("td", {}, does))))),
    el("button", { type: "button", onclick: () => $("help").close() }, "Close"));
  $("help").showModal();
}

function direction() {
  const down = $("direction").getAttribute("aria-pressed") !== "true";
  $("direction").setAttribute("aria-pressed", String(down));
  $("direction").textContent = down ? "↓" : "↑";
  show();
}

const VERDICTS = { k: "keep", d: "drop", s: "skip", w: "wrong_label", r: "right_label", u: "undo" };

function typed(event) {
  const writes = event.target.matches?.("input:not([type=checkbox]):not([type=range]), textarea, select");
  if (event.key === "Escape" && writes) event.target.blur();
  if (writes || event.ctrlKey || event.metaKey || event.altKey) return;
  const { key } = event;
  const panes = viewer.panes;
  const done = () => event.preventDefault();
  if (VERDICTS[key]) { done(); act(VERDICTS[key]); }
  else if (/^[1-9]$/.test(key) && viewer.open) { done(); then(() => viewer.open && viewer.pick(Number(key) - 1)); }
  else if (grid.step(key) !== undefined) {
    if (viewer.open) { if (/Left|Right/.test(key)) { done(); then(() => go(key === "ArrowRight" ? 1 : -1)); } return; }
    if (event.target !== document.body && event.target !== grid.box) return;
    done();
    const from = grid.cursor;
    go(grid.step(key)).then(() => (event.shiftKey ? grid.chooseRange(from, grid.cursor) : undefined)).catch((error) => toast(error.message));
  }
  else if (key === "Enter" && !viewer.open && [document.body, grid.box].includes(event.target)) { done(); then(() => openAt(grid.cursor)); }
  else if (key === "x" && !viewer.open) grid.toggle(grid.cursor);
  else if (key === "a" && !viewer.open) grid.chooseAll().catch((error) => toast(error.message));
  else if (key === "z") { done(); if (viewer.open) panes.toggle(); else $("detail").click(); }
  else if ((key === "+" || key === "-") && viewer.open) panes.by(key === "+" ? 1.5 : 1 / 1.5);
  else if (key === "t" && viewer.open) viewer.dialog.querySelector(".twin")?.click();
  else if (key === "/") { done(); $("text").focus(); }
  else if (key === "f" && !viewer.open) $("open-filters").click();
  else if (key === "h" && !viewer.open) $("open-thresholds").click();
  else if (key === "?") help();
}

document.addEventListener("keydown", typed);
$("sort").addEventListener("change", show);
$("direction").addEventListener("click", direction);
$("size").addEventListener("input", () => grid.resize(Number($("size").value)));
$("detail").addEventListener("click", () => {
  grid.detail = !grid.detail;
  $("detail").setAttribute("aria-pressed", String(grid.detail));
  grid.draw(true);
});
$("theme").addEventListener("click", theme);
$("theme").textContent = matchMedia("(prefers-color-scheme: dark)").matches ? "Light" : "Dark";
$("open-filters").addEventListener("click", () => fold("open-filters", "filters"));
$("open-thresholds").addEventListener("click", () => fold("open-thresholds", "thresholds"));
$("open-thresholds").hidden = !about.bounds.length;
$("open-help").addEventListener("click", help);
$("clear-chosen").addEventListener("click", () => grid.clear());
for (const button of document.querySelectorAll("[data-bulk]")) button.addEventListener("click", () => act(button.dataset.bulk));
$("viewer").addEventListener("close", () => { viewer.n = null; grid.box.focus(); });
// What others say at the same time is seen when one comes back to the page.
addEventListener("focus", () => { if (about.writable) tell("/api/refresh", {}).then(() => grid.refresh()).catch(() => {}); });

const wide = matchMedia("(min-width: 900px)").matches;
$("filters").hidden = !wide || Boolean(about.sample);
$("open-filters").setAttribute("aria-expanded", String(!$("filters").hidden));
if (!wide) { $("size").value = "110"; grid.size = 110; }
await show();
grid.box.focus();
document.body.dataset.ready = "yes";
