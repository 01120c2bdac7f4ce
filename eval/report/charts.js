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

  /** The letters of the longest name that a chart tells apart by colour or shape. */
  function longestName(spec) {
    if (spec === null || typeof spec !== "object") {
      return 0;
    }
    const names = Array.isArray(spec.scale?.domain) ? spec.scale.domain : [];
    return Math.max(0, ...names.map((name) => `${name}`.length), ...Object.values(spec).map(longestName));
  }

  /** Vega's configuration for the mode, with legends that break where there is little room for so long a name. */
  function theme(width, letters) {
    const { legend, ...others } = themes[dark.matches ? "dark" : "light"];
    const columns = Math.floor((width - BESIDE) / (AROUND + LETTER * letters));
    return { ...others, legend: { ...legend, columns: Math.max(1, columns) } };
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
      return { ...spec, columns, spec: { ...spec.spec, width: panel } };
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

  async function draw(place) {
    const { spec, data, is } = charts[place.dataset.chart];
    const whole = fitted({ ...spec, description: is }, place.clientWidth);
    if (data) {
      whole.datasets = { [data]: rowsOf(tables[data]) };
    }
    drawn.get(place)?.finalize();
    const { view } = await vegaEmbed(place, whole, {
      actions: false,
      ast: true, // expressions are interpreted: the page's policy forbids to make code of text
      config: theme(Math.min(place.clientWidth, spec.usermeta.widest ?? Infinity), longestName(spec)),
      defaultStyle: false,
      logLevel: ERRORS, // a layer without data, as of a metric without published curves, is nothing to warn of
      renderer: "svg",
      tooltip: { theme: dark.matches ? "dark" : "light" },
    });
    drawn.set(place, view);
    await chooseMetric(place, view);
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

  function hasMetric(place) {
    return (charts[place.dataset.chart].spec.params ?? []).some((each) => each.name === "metric");
  }

  /** Shows the metric that is chosen for the chart's task. */
  async function chooseMetric(place, view) {
    const choice = place.closest("section").querySelector("[data-metric-of]");
    if (choice && hasMetric(place)) {
      await view.signal("metric", choice.value).runAsync();
    }
  }

  for (const choice of document.querySelectorAll("[data-metric-of]")) {
    const section = choice.closest("section");
    const show = () => {
      for (const table of section.querySelectorAll("[data-metric]")) {
        table.hidden = table.dataset.metric !== choice.value;
      }
      for (const place of places.filter((each) => section.contains(each) && drawn.has(each))) {
        chooseMetric(place, drawn.get(place));
      }
    };
    choice.addEventListener("change", show);
    show(); // a browser may have kept an earlier choice
  }

  // ---- when charts are drawn

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
