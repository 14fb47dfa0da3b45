// Small helpers. Text from outside goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

// An element with properties, attributes (those with a dash, and role) and children; a string child is text.
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else if (key.includes("-") || key === "role" || key === "for") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Where rows and pictures come from. Of a page without a server local.js puts itself in its place.
export const source = {
  ask: async (path, parameters) => {
    const query = new URLSearchParams(parameters).toString();
    return answered(await fetch(query ? `${path}?${query}` : path));
  },
  // Address of a row's thumbnail or image.
  picture: (row, kind) => `/${kind}/${row.n}`,
};

export const ask = (path, parameters = {}) => source.ask(path, parameters);

export async function tell(path, content) {
  return answered(await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  }));
}

async function answered(response) {
  const content = await response.json().catch(() => ({}));
  if (!response.ok) {
    const said = content.error ?? content.detail?.[0]?.msg ?? `The server answered ${response.status}.`;
    throw new Error(said);
  }
  return content;
}

let fading;
export function toast(text) {
  $("toast").textContent = text;
  $("toast").classList.add("on");
  clearTimeout(fading);
  fading = setTimeout(() => $("toast").classList.remove("on"), 2600);
}

export function problem(text) {
  $("problem").hidden = !text;
  $("problem").textContent = text || "";
}

export function later(work, wait) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), wait);
  };
}

export const plainTitle = (title) => String(title ?? "").replace(/^File:/, "");

export function short(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 100 ? value.toFixed(1) : value.toPrecision(3);
}

// What was never fetched has none, and is not asked for.
export const hasPicture = (row) => (row.object === undefined || row.object === "present") && row.thumbnail !== null;

// Only an address of the web is a link: what came from outside could be javascript:.
export const webAddress = (url) => (typeof url === "string" && url.startsWith("https://") ? url : null);
