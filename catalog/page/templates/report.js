"use strict";
// Draws the charts of the report and switches theme and view. The figures are data; nothing is fetched.
(() => {
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);

  // Browsers forbid storage to some pages opened from a disk; a choice is then good for this visit only.
  const remembered = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const remember = (key, value) => { try { localStorage.setItem(key, value); } catch { /* see above */ } };

  // "var:kept" becomes the colour that --kept has in the theme that is shown.
  const coloured = (value, style) => {
    if (typeof value === "string") {
      return value.startsWith("var:") ? style.getPropertyValue("--" + value.slice(4)).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => coloured(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, style)]));
    }
    return value;
  };

  const draw = () => {
    const style = getComputedStyle(root);
    const ink = style.getPropertyValue("--ink-soft").trim();
    const line = style.getPropertyValue("--line").trim();
    for (const [key, figure] of Object.entries(figures)) {
      const place = document.getElementById("chart-" + key);
      // What is folded away has no width yet; it is drawn when it is opened.
      if (!place || place.closest("details:not([open])")) continue;
      const axis = { gridcolor: line, zeroline: false, linecolor: line, automargin: true, fixedrange: true };
      const layout = coloured(figure.layout, style);
      const whole = {
        showlegend: false,
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: style.getPropertyValue("--font"), size: 12.5, color: ink },
        legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0 },
        hoverlabel: { font: { family: style.getPropertyValue("--font") } },
        ...layout,
        height: figure.height,
        xaxis: { ...axis, ...layout.xaxis },
        yaxis: { ...axis, ...layout.yaxis },
      };
      Plotly.react(place, coloured(figure.traces, style), whole, { displayModeBar: false, responsive: true });
    }
  };

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const shown = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const themeButton = document.getElementById("theme");
  const nameTheme = () => { themeButton.textContent = shown() === "dark" ? "Light" : "Dark"; };
  themeButton.addEventListener("click", () => {
    root.dataset.theme = shown() === "dark" ? "light" : "dark";
    remember("lucidlr-theme", root.dataset.theme);
    nameTheme();
    draw();
  });
  dark.addEventListener("change", () => { nameTheme(); draw(); });

  for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", draw);
  // A printed page shows everything.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
    draw();
  });

  // The photographs at the top: a click enlarges, arrows lead to the next.
  const looks = [...document.querySelectorAll(".look")];
  const large = document.getElementById("large");
  let shownLook = 0;
  const look = (at) => {
    shownLook = (at + looks.length) % looks.length;
    const one = looks[shownLook];
    const picture = one.querySelector("img");
    const name = document.getElementById("large-name");
    document.getElementById("large-picture").src = picture.src;
    document.getElementById("large-picture").alt = picture.alt;
    const bdi = document.createElement("bdi");
    bdi.textContent = picture.alt;
    name.replaceChildren(bdi);
    if (one.dataset.link) {
      const link = document.createElement("a");
      Object.assign(link, { href: one.dataset.link, target: "_blank", rel: "noopener noreferrer", textContent: " on Commons" });
      name.append(link);
    }
    document.getElementById("large-note").textContent = one.dataset.note;
    if (!large.open) large.showModal();
  };
  looks.forEach((one, at) => one.addEventListener("click", () => look(at)));
  // Without pictures there is nothing to enlarge.
  if (large) {
    document.getElementById("large-before").addEventListener("click", () => look(shownLook - 1));
    document.getElementById("large-next").addEventListener("click", () => look(shownLook + 1));
    document.getElementById("large-close").addEventListener("click", () => large.close());
    large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
    large.addEventListener("keydown", (event) => {
      if (event.key === "ArrowRight") look(shownLook + 1);
      if (event.key === "ArrowLeft") look(shownLook - 1);
    });
  }

  const viewButton = document.getElementById("view");
  viewButton.addEventListener("click", () => {
    const detail = root.dataset.view !== "detail";
    root.dataset.view = detail ? "detail" : "whole";
    viewButton.setAttribute("aria-pressed", String(detail));
  });

  const theme = remembered("lucidlr-theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  nameTheme();
  draw();
})();
