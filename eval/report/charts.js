"use strict";
// Draws the charts: each where its place stands in the page, as wide as there is room, in the colours of the mode.

/** The data that the element of this id holds. */
function held(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

{
  const charts = held("charts");
  const tables = held("tables");
  const themes = held("themes");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map(); // place → the Vega view in it
  const GAP = 20; // Vega-Lite's space between panels
  const LETTER = 6.2; // pixels of a letter of a legend, about
  const AROUND = 30; // its symbol, and the space between columns
  const BESIDE = 120; // as far in as legends begin where names of cells stand before the panels
  const ERRORS = 1; // Vega's name for it is not in the bundle

  /** A table's columns as the rows that Vega wants. */
  function rowsOf(columns) {
    const names = Object.keys(columns);
    const count = names.length ? columns[names[0]].length : 0;
    return Array.from({ length: count }, (_, row) => Object.fromEntries(names.map((name) => [name, columns[name][row]])));
  }

  /** The names that a chart tells apart by colour, shape or dash, a list for each legend. */
  function legendsOf(spec, found = new Map()) {
    if (spec !== null && typeof spec === "object") {
      if (Array.isArray(spec.scale?.domain) && spec.legend !== null) {
        found.set(JSON.stringify(spec.scale.domain), spec.scale.domain.map(String));
      }
      Object.values(spec).forEach((part) => legendsOf(part, found));
    }
    return [...found.values()];
  }

  /** Vega's configuration for the mode, with legends that break where there is too little room for them. */
  function theme(width, legends) {
    const { legend, ...others } = themes[dark.matches ? "dark" : "light"];
    const widthOf = (name) => AROUND + LETTER * name.length;
    const whole = legends.flat().reduce((sum, name) => sum + widthOf(name), BESIDE / 2);
    const longest = Math.max(1, ...legends.flat().map(widthOf));
    const columns = whole < width ? 0 : Math.max(1, Math.floor((width - BESIDE) / longest)); // 0: all in one row
    return { ...others, legend: { ...legend, columns } };
  }

  /** The chart's specification, fitted into so many pixels; `usermeta` says how it may be fitted. */
  function fitted(spec, width) {
    const layout = spec.usermeta;
    if (layout.stack) {
      return width < 640 ? { ...spec, vconcat: spec.hconcat, hconcat: undefined } : spec;
    }
    if (layout.narrowestPanel) {
      const room = Math.max(1, Math.floor((width + GAP) / (layout.narrowestPanel + GAP)));
      const columns = Math.min(room, layout.columns);
      const panel = Math.min(Math.floor((width - GAP * (columns - 1)) / columns) - 30, layout.widestPanel);
      const axis = { ...spec.resolve?.axis, x: layout.panels % columns ? "independent" : "shared" };
      return { ...spec, columns, resolve: { ...spec.resolve, axis }, spec: { ...spec.spec, width: panel } };
    }
    const within = Math.min(width, layout.widest ?? Infinity);
    return { ...spec, width: Math.max(within, layout.narrowest ?? 0), autosize: { type: "fit-x", contains: "padding" } };
  }

  /** Makes panels as wide as axes beside them let them be. */
  async function fitPanels(view, place, spec) {
    const over = place.querySelector("svg").getBoundingClientRect().width - place.clientWidth;
    const { narrowestPanel, widestPanel } = spec.usermeta;
    if (narrowestPanel && Math.abs(over) > 4) {
      const panel = Math.floor(view.signal("child_width") - over / spec.columns);
      await view.signal("child_width", Math.min(Math.max(panel, 90), widestPanel)).resize().runAsync();
    }
  }

  /** The metric that is chosen in the chart's part of the page; none where there is no choice. */
  function chosenMetric(place) {
    return place.closest(".part")?.querySelector("[data-metric-of]")?.value;
  }

  /** The chart by another metric than the one it begins with, which titles name as well. */
  function byMetric(spec, metric) {
    const first = spec.params?.find((parameter) => parameter.name === "metric")?.value;
    if (!metric || !first || metric === first) {
      return spec;
    }
    const titled = (name) => `"title":${JSON.stringify(spec.usermeta.titles?.[name] ?? "").slice(0, -1)}`;
    const other = JSON.parse(JSON.stringify(spec).replaceAll(titled(first), titled(metric)));
    other.params.find((parameter) => parameter.name === "metric").value = metric;
    return other;
  }

  async function draw(place) {
    const { spec, data, is } = charts[place.dataset.chart];
    const whole = fitted({ ...byMetric(spec, chosenMetric(place)), description: is }, place.clientWidth);
    if (data) {
      whole.datasets = { [data]: rowsOf(tables[data]) };
    }
    drawn.get(place)?.finalize();
    const { view } = await vegaEmbed(place, whole, {
      actions: false,
      ast: true, // expressions are interpreted: the page's policy forbids to make code of text
      config: theme(Math.min(place.clientWidth, spec.usermeta.widest ?? Infinity), legendsOf(spec)),
      defaultStyle: false,
      logLevel: ERRORS, // a layer without data, as of a metric without published curves, is nothing to warn of
      renderer: "svg",
      tooltip: { theme: dark.matches ? "dark" : "light" },
    });
    drawn.set(place, view);
    await fitPanels(view, place, whole);
    place.dataset.drawn = place.clientWidth;
  }

  /** Draws one chart after the other, so that the page can be read and used meanwhile. */
  async function drawAll(places) {
    for (const place of places) {
      if (place.clientWidth) { // not in a closed part of the page
        await draw(place).catch((error) => {
          console.error(error);
          place.textContent = `This chart could not be drawn (${error.message}); its figures are in the table.`;
        });
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
    document.documentElement.dataset.charts = "drawn";
  }

  const places = [...document.querySelectorAll("[data-chart]")];
  const redraw = () => drawAll(places.filter((place) => drawn.has(place)));

  // ---- a task's metric

  for (const choice of document.querySelectorAll("[data-metric-of]")) {
    const part = choice.closest(".part");
    const show = () => {
      for (const table of part.querySelectorAll("[data-metric]")) {
        table.hidden = table.dataset.metric !== choice.value;
      }
      drawAll(places.filter((place) => part.contains(place) && drawn.has(place) && charts[place.dataset.chart].spec.params));
    };
    choice.addEventListener("change", show);
    show(); // a browser may have kept an earlier choice
  }

  // ---- when charts are drawn

  /** Opens the folded part that the address names. */
  function unfold() {
    const name = decodeURIComponent(location.hash.slice(1)).split("?")[0];
    const named = document.getElementById(name);
    for (let part = named?.closest("details"); part; part = part.parentElement.closest("details")) {
      part.open = true;
    }
    named?.scrollIntoView();
  }
  addEventListener("hashchange", unfold);
  unfold();

  for (const part of document.querySelectorAll("details")) {
    part.addEventListener("toggle", () => {
      drawAll(places.filter((place) => part.contains(place) && !drawn.has(place)));
    });
  }
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => drawAll(places.filter((place) => drawn.has(place) && Number(place.dataset.drawn) !== place.clientWidth)), 200);
  });
  dark.addEventListener("change", redraw);
  drawAll(places);
}
