"use strict";
// The gallery: cards that can be filtered and sorted, and a viewer with a divider and pictures that zoom in step.
(() => {
  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };

  // Browsers forbid storage to some pages opened from a disk; a choice is then good for this visit only.
  const remembered = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const remember = (key, value) => { try { localStorage.setItem(key, value); } catch { /* see above */ } };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const shown = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const nameTheme = () => { $("theme").textContent = shown() === "dark" ? "Light" : "Dark"; };
  $("theme").addEventListener("click", () => {
    root.dataset.theme = shown() === "dark" ? "light" : "dark";
    remember("lucidlr-theme", root.dataset.theme);
    nameTheme();
  });
  dark.addEventListener("change", nameTheme);
  const theme = remembered("lucidlr-theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  nameTheme();

  const data = JSON.parse($("data").textContent);
  if (!data.items.length) return;
  const lower = new Map(data.metrics.map((metric) => [metric.name, metric.lower_better]));
  const number = (value) => (Math.abs(value) >= 1000 ? value.toFixed(0) : value.toFixed(Math.abs(value) >= 10 ? 2 : 4));
  const score = (item, method, metric) => item.scores[method]?.[metric] ?? null;
  const gain = (item, metric) => {
    const left = score(item, state.left, metric), right = score(item, state.right, metric);
    return left === null || right === null ? null : (lower.get(metric) ? left - right : right - left);
  };
  const state = { benchmark: "", left: "", right: "", order: "name", label: "", find: "", list: [], at: 0, x: 0.5, y: 0.5, zoom: 1 };

  const fill = (select, options, chosen) => {
    select.replaceChildren(...options.map(([value, text]) => make("option", { value, textContent: text })));
    select.value = options.some(([value]) => value === chosen) ? chosen : options[0][0];
    return select.value;
  };

  // Cards.
  const shownMetric = () => (state.order.includes(":") ? state.order.split(":").slice(1).join(":") : data.metrics[0]?.name);
  const card = (item, index) => {
    const metric = shownMetric();
    const value = metric ? score(item, state.right, metric) : null;
    const change = metric ? gain(item, metric) : null;
    const facts = make("span", { className: "facts-line" });
    if (value !== null) facts.append(`${metric} ${number(value)}`);
    if (change !== null && state.left !== state.right) {
      const mark = change > 0 ? "better" : change < 0 ? "worse" : "";
      facts.append(" ", make("span", { className: mark, textContent: change === 0 ? "equal" : `${mark} by ${number(Math.abs(change))}` }));
    }
    const picture = (column) => make("img", { src: item.files[column] || item.files.LR, alt: "", loading: "lazy", decoding: "async", width: 150, height: 150 });
    const text = make("span", { className: "text" }, make("span", { className: "name", textContent: item.name }), facts);
    if (item.labels.length) text.append(make("span", { className: "facts-line", textContent: item.labels.join(", ") }));
    const button = make("button", { type: "button" }, make("span", { className: "pair" }, picture(state.left), picture(state.right)), text);
    button.setAttribute("aria-label", `${item.name}: compare ${state.left} and ${state.right}`);
    button.addEventListener("click", () => open(index));
    return make("li", {}, button);
  };
  const draw = () => {
    const [kind] = state.order.split(":"), metric = shownMetric();
    const key = (item) => {
      if (kind === "worst") { const v = score(item, state.right, metric); return v === null ? Infinity : lower.get(metric) ? -v : v; }
      const g = gain(item, metric);
      return g === null ? Infinity : kind === "loss" ? g : -g;
    };
    state.list = data.items.filter((item) => item.benchmark === state.benchmark
      && (!state.label || item.labels.includes(state.label))
      && item.name.toLowerCase().includes(state.find.toLowerCase()));
    if (kind !== "name") {
      const keys = new Map(state.list.map((item) => [item, key(item)]));
      state.list.sort((a, b) => (keys.get(a) === keys.get(b) ? 0 : keys.get(a) - keys.get(b)) || a.name.localeCompare(b.name));
    }
    $("cards").replaceChildren(...state.list.map(card));
    const all = data.items.filter((item) => item.benchmark === state.benchmark).length;
    $("count").textContent = `${state.list.length} of ${all} images. Left: ${state.left}, right: ${state.right}.`;
  };

  // Choices.
  const columnsOf = (benchmark) => {
    const found = new Set(data.items.filter((item) => item.benchmark === benchmark).flatMap((item) => Object.keys(item.files)));
    return ["LR", ...data.methods, "HR", ...data.maps].filter((name) => found.has(name));
  };
  const choose = () => {
    const columns = columnsOf(state.benchmark).map((name) => [name, name]);
    const methods = columns.map(([name]) => name).filter((name) => data.methods.includes(name));
    const last = methods[methods.length - 1] || "LR";
    state.left = fill($("left"), columns, state.left || data.bases[last] || (methods.length > 1 ? methods[0] : "LR"));
    state.right = fill($("right"), columns, state.right || last);
    const orders = [["name", "By name"]];
    for (const { name } of data.metrics) {
      orders.push([`worst:${name}`, `Worst first: ${name}`], [`loss:${name}`, `Lost most: ${name}`], [`gain:${name}`, `Gained most: ${name}`]);
    }
    state.order = fill($("order"), orders, state.order);
    const labels = [...new Set(data.items.filter((item) => item.benchmark === state.benchmark).flatMap((item) => item.labels))].sort();
    state.label = fill($("label"), [["", "Any"], ...labels.map((name) => [name, name])], state.label);
    $("label-box").hidden = !labels.length;
  };
  const benchmarks = [...new Set(data.items.map((item) => item.benchmark))];
  state.benchmark = fill($("benchmark"), benchmarks.map((name) => [name, name]), data.first);
  state.order = data.metrics.length ? `worst:${data.metrics[0].name}` : "name";
  for (const id of ["benchmark", "left", "right", "order", "label"]) {
    $(id).addEventListener("change", () => { state[id] = $(id).value; choose(); draw(); });
  }
  $("find").addEventListener("input", () => { state.find = $("find").value; draw(); });
  $("tools").addEventListener("submit", (event) => event.preventDefault());

  // The viewer. x and y: the point of the picture (0 to 1) in the middle of every pane.
  const viewer = $("viewer"), compare = $("compare"), slider = $("slider");
  const bound = (value, least, most) => Math.min(most, Math.max(least, value));
  const place = () => {
    const half = 0.5 / state.zoom;
    state.x = bound(state.x, half, 1 - half);
    state.y = bound(state.y, half, 1 - half);
    const left = -(state.x - half) * state.zoom * 100, top = -(state.y - half) * state.zoom * 100;
    for (const image of viewer.querySelectorAll(".pane img")) image.style.transform = `translate(${left}%, ${top}%) scale(${state.zoom})`;
    viewer.classList.toggle("zoomed", state.zoom > 1);
    viewer.classList.toggle("near", state.zoom >= 4);
    $("zoom").textContent = `${Number(state.zoom.toFixed(1))}×`;
  };
  const slide = (percent) => {
    const at = bound(Math.round(percent), 0, 100);
    slider.value = at;
    slider.setAttribute("aria-valuetext", `${at} % ${state.left}, ${100 - at} % ${state.right}`);
    $("over-box").style.clipPath = `inset(0 0 0 ${at}%)`;
    $("divider").style.left = `${at}%`;
  };
  const zoomAt = (factor, px = 0.5, py = 0.5) => {
    const before = state.zoom;
    state.zoom = bound(before * factor, 1, 16);
    state.x += (px - 0.5) * (1 / before - 1 / state.zoom);
    state.y += (py - 0.5) * (1 / before - 1 / state.zoom);
    place();
  };
  const fit = () => { Object.assign(state, { x: 0.5, y: 0.5, zoom: 1 }); place(); };
  const show = () => {
    const item = state.list[state.at];
    $("viewer-title").textContent = `${item.name} (${state.at + 1} of ${state.list.length})`;
    for (const [id, column] of [["under", state.left], ["over", state.right]]) {
      $(id).src = item.files[column] || item.files.LR;
      $(id).alt = `${item.name}, ${column}`;
    }
    $("left-tag").textContent = state.left;
    $("right-tag").textContent = state.right;
    compare.style.aspectRatio = `${item.width} / ${item.height}`;
    compare.parentElement.style.maxWidth = `calc(68dvh * ${item.width / item.height})`;
    $("panes").replaceChildren(...columnsOf(item.benchmark).filter((name) => item.files[name]).map((name) => {
      const pane = make("div", { className: "pane" }, make("img", { src: item.files[name], alt: `${item.name}, ${name}`, draggable: false }));
      pane.style.aspectRatio = `${item.width} / ${item.height}`;
      pannable(pane);
      return make("figure", {}, pane, make("figcaption", { textContent: name }));
    }));
    scores(item);
    $("previous").disabled = state.at === 0;
    $("next").disabled = state.at === state.list.length - 1;
    place();
    slide(Number(slider.value));
  };
  const scores = (item) => {
    const methods = data.methods.filter((name) => item.scores[name]);
    const head = make("tr", {}, make("th", { textContent: "Metric", scope: "col" }), ...methods.map((name) => make("th", { textContent: name, scope: "col", className: "n" })));
    const rows = data.metrics.filter(({ name }) => methods.some((method) => score(item, method, name) !== null)).map(({ name, lower_better }) => {
      const values = methods.map((method) => score(item, method, name));
      const known = values.filter((value) => value !== null);
      const best = lower_better ? Math.min(...known) : Math.max(...known);
      return make("tr", {}, make("th", { textContent: `${name} ${lower_better ? "↓" : "↑"}`, scope: "row" }),
        ...values.map((value) => make("td", { className: "n" }, value === null ? "–" : value === best && known.length > 1 ? make("strong", { textContent: number(value) }) : number(value))));
    });
    $("scores").replaceChildren(make("caption", { textContent: item.labels.length ? `LR: ${item.labels.join(", ")}` : "" }), make("thead", {}, head), make("tbody", {}, ...rows));
  };
  const open = (index) => { state.at = index; fit(); slide(50); show(); viewer.showModal(); slider.focus(); };
  const step = (by) => { const to = bound(state.at + by, 0, state.list.length - 1); if (to !== state.at) { state.at = to; show(); } };

  // One finger or the mouse moves the divider or the picture, two fingers zoom.
  const pointers = new Map();
  let pinch = 0;
  const pannable = (pane) => {
    let sliding = false;
    const divides = (event) => {
      if (pane !== compare) return false;
      const box = pane.getBoundingClientRect();
      return state.zoom === 1 || Math.abs(event.clientX - box.left - box.width * slider.value / 100) < 28;
    };
    const spread = () => { const [a, b] = [...pointers.values()]; return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY); };
    pane.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      pointers.set(event.pointerId, event);
      pane.setPointerCapture(event.pointerId);
      if (pointers.size === 2) pinch = spread();
      sliding = pointers.size === 1 && divides(event);
      if (sliding) { const box = pane.getBoundingClientRect(); slide((event.clientX - box.left) / box.width * 100); }
    });
    pane.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      pointers.set(event.pointerId, event);
      const box = pane.getBoundingClientRect();
      if (pointers.size === 2) {
        const now = spread();
        const [a, b] = [...pointers.values()];
        if (pinch > 0) zoomAt(now / pinch, ((a.clientX + b.clientX) / 2 - box.left) / box.width, ((a.clientY + b.clientY) / 2 - box.top) / box.height);
        pinch = now;
      } else if (sliding) {
        slide((event.clientX - box.left) / box.width * 100);
      } else if (state.zoom > 1) {
        state.x -= (event.clientX - before.clientX) / box.width / state.zoom;
        state.y -= (event.clientY - before.clientY) / box.height / state.zoom;
        place();
      }
    });
    const end = (event) => { pointers.delete(event.pointerId); sliding = false; };
    pane.addEventListener("pointerup", end);
    pane.addEventListener("pointercancel", end);
    pane.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = pane.getBoundingClientRect();
      zoomAt(event.deltaY < 0 ? 1.25 : 0.8, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    }, { passive: false });
    pane.addEventListener("dblclick", (event) => {
      const box = pane.getBoundingClientRect();
      if (state.zoom > 1) fit(); else zoomAt(4, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    });
  };
  pannable(compare);
  slider.addEventListener("input", () => slide(Number(slider.value)));
  const acts = { previous: () => step(-1), next: () => step(1), "zoom-in": () => zoomAt(1.5), "zoom-out": () => zoomAt(1 / 1.5), fit, close: () => viewer.close() };
  for (const [id, act] of Object.entries(acts)) $(id).addEventListener("click", act);
  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = { "+": acts["zoom-in"], "=": acts["zoom-in"], "-": acts["zoom-out"], 0: fit, n: acts.next, p: acts.previous, N: acts.next, P: acts.previous };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.shiftKey && moves[event.key]) {
      event.preventDefault();
      const [dx, dy] = moves[event.key];
      state.x += dx * 0.1 / state.zoom;
      state.y += dy * 0.1 / state.zoom;
      place();
    }
  });
  viewer.addEventListener("close", () => { pointers.clear(); $("cards").children[state.at]?.querySelector("button").focus(); });

  choose();
  draw();
})();
