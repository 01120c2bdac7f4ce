"use strict";
// The browser of predictions. What a model wrote is only ever put into the page as text, never as HTML.

{
  const PAGE_SIZE = 25;
  const FILTERS = ["task", "language", "cell", "other", "result", "answered", "order", "text", "differ"];
  const index = held("index");
  const form = document.getElementById("filters");

  // ---- chunks: in the page, or scripts beside it that call receiveChunk

  const chunks = new Map(); // name → promise of the chunk
  const awaited = new Map(); // name → the promise's resolve

  function loadChunk(name) {
    if (!chunks.has(name)) {
      const inPage = document.getElementById(`chunk-${name}`);
      chunks.set(name, inPage ? Promise.resolve(JSON.parse(inPage.textContent)) : fetchChunk(name));
    }
    return chunks.get(name);
  }

  function fetchChunk(name) {
    return new Promise((resolve, reject) => {
      awaited.set(name, resolve);
      const script = document.createElement("script");
      script.src = `${index.folder}/${name}.js`;
      script.onerror = () => {
        chunks.delete(name);
        script.remove();
        reject(new Error(`${index.folder}/${name}.js is not beside this page; copy the folder ${index.folder} together with it`));
      };
      document.head.append(script);
    });
  }

  globalThis.receiveChunk = (name, chunk) => awaited.get(name)?.(chunk);

  // ---- entries: one item, with what some cells wrote

  /** The entries of a chunk for the chosen cells: those items that the first of them has an answer to. */
  function entriesOf(chunk, cells) {
    const { id, prompt, reference } = chunk.items;
    return id.map((each, place) => ({
      id: each,
      language: chunk.language,
      prompt: prompt[place],
      reference: reference[place],
      answers: cells.filter((cell) => chunk.cells[cell]?.completion?.[place] != null).map((cell) => answerOf(chunk, cell, place)),
    })).filter((entry) => entry.answers[0]?.cell === cells[0]);
  }

  function answerOf(chunk, cell, place) {
    const { completion, tokens, finish, scores } = chunk.cells[cell];
    const marks = chunk.metrics.filter((metric) => scores[metric]).map((metric) => ({
      metric,
      value: scores[metric].value?.[place] ?? null,
      answer: scores[metric].answer?.[place] ?? null,
      reason: scores[metric].reason?.[place] ?? null,
    }));
    const language = marks.find((mark) => mark.metric === "language_pass");
    return { cell, completion: completion[place], tokens: tokens[place], finish: finish[place], marks, main: marks[0], language };
  }

  // ---- filters

  const isRight = (mark) => mark?.value != null && mark.value === index.metrics[mark.metric].best;
  const RESULTS = {
    "": () => true,
    right: ({ main }) => isRight(main),
    wrong: ({ main }) => main?.value != null && !isRight(main),
    "no-answer": ({ main }) => main?.value != null && main.reason != null,
    unscored: ({ main }) => main?.value == null,
  };
  const ANSWERED = {
    "": () => true,
    right: ({ language }) => language?.value === 1,
    another: ({ language }) => language?.value === 0,
    untold: ({ language }) => language?.value == null,
  };
  const scoreOf = (entry, place = 0) => entry.answers[place]?.main?.value ?? null;
  const distance = (entry) => Math.abs((scoreOf(entry, 0) ?? 0) - (scoreOf(entry, 1) ?? 0));
  const ORDERS = {
    lowest: (one, other) => (scoreOf(one) ?? Infinity) - (scoreOf(other) ?? Infinity),
    highest: (one, other) => (scoreOf(other) ?? -Infinity) - (scoreOf(one) ?? -Infinity),
    apart: (one, other) => distance(other) - distance(one),
  };

  function matches(entry, filters) {
    const [first] = entry.answers;
    if (!RESULTS[filters.result](first) || !ANSWERED[filters.answered](first)) {
      return false;
    }
    if (filters.differ && scoreOf(entry, 0) === scoreOf(entry, 1)) {
      return false;
    }
    const wanted = filters.text.toLowerCase();
    const texts = [entry.prompt, entry.reference, ...entry.answers.map((answer) => answer.completion)];
    return !wanted || texts.some((text) => text?.toLowerCase().includes(wanted));
  }

  // ---- the page's address remembers the filters

  function readForm() {
    return Object.fromEntries(FILTERS.map((name) => [name, name === "differ" ? form[name].checked : form[name].value]));
  }

  function writeAddress(filters, page) {
    const kept = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...filters, page: page || "" })) {
      if (value) {
        kept.set(name, value);
      }
    }
    history.replaceState(null, "", `#predictions?${kept}`);
  }

  function readAddress() {
    const [place, kept] = decodeURI(location.hash).split("?");
    return place === "#predictions" && kept !== undefined ? new URLSearchParams(kept) : null;
  }

  // ---- showing

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  /** A text of a person or a model, in its own direction. */
  function textBlock(text, language) {
    return element("p", { className: "text", dir: "auto", lang: language, textContent: text === "" ? "(nothing)" : text });
  }

  function labelled(label, text, language) {
    return [element("p", { className: "label", textContent: label }), textBlock(text, language)];
  }

  function shown({ metric, value }) {
    const { factor } = index.metrics[metric];
    if (value === null) {
      return "unscored";
    }
    const whole = factor === 100 && (value === 0 || value === 1);
    return (factor * value).toFixed(whole ? 0 : factor === 100 ? 1 : 2);
  }

  function verdict({ main }) {
    if (!main || main.value === null) {
      return element("span", { className: "verdict", textContent: "– unscored" });
    }
    if (isRight(main)) {
      return element("span", { className: "verdict right", textContent: "✓ right" });
    }
    const wrong = main.value === 0;
    return element("span", { className: `verdict ${wrong ? "wrong" : ""}`, textContent: wrong ? "✗ wrong" : shown(main) });
  }

  const LANGUAGE_VERDICTS = { 1: "in the right language", 0: "in another language" };

  function mark(each) {
    const more = [each.answer === null ? "" : `found “${each.answer}”`, each.reason ?? ""].filter(Boolean).join(", ");
    const said = each.metric === "language_pass"
      ? LANGUAGE_VERDICTS[each.value] ?? "language cannot be told"
      : `${index.metrics[each.metric].label} ${shown(each)}`;
    return more ? `${said} (${more})` : said;
  }

  function answerBlock(answer, language) {
    const ended = answer.finish === "length" ? "cut off at its limit" : `ended by ${answer.finish}`;
    return element("div", {},
      element("h4", {}, `${answer.cell} `, verdict(answer)),
      textBlock(answer.completion, language),
      element("p", { className: "marks", textContent: `${answer.marks.map(mark).join("; ")}; ${answer.tokens} tokens, ${ended}` }));
  }

  function entryBlock(entry) {
    return element("article", { className: "item" },
      element("h3", { textContent: `${entry.id}, ${index.languages[entry.language]}` }),
      element("div", { className: "beside" },
        element("div", {}, ...labelled("Prompt", entry.prompt, entry.language)),
        element("div", {}, ...labelled("Reference", entry.reference, entry.language))),
      element("div", { className: "beside" }, ...entry.answers.map((answer) => answerBlock(answer, entry.language))));
  }

  let found = []; // entries that match
  let page = 0;

  function showPage() {
    const pages = Math.max(1, Math.ceil(found.length / PAGE_SIZE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const shownEntries = found.slice(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    document.getElementById("items").replaceChildren(...shownEntries.map(entryBlock));
    document.getElementById("page-number").textContent = `page ${page + 1} of ${pages}`;
    document.getElementById("previous").disabled = page === 0;
    document.getElementById("next").disabled = page === pages - 1;
  }

  let latest = 0; // the newest search: an older one that ends later is not shown

  async function search() {
    const current = ++latest;
    const filters = readForm();
    const status = document.getElementById("matches");
    const wanted = index.chunks.filter(({ task, language }) =>
      task === filters.task && (!filters.language || language === filters.language));
    const cells = [filters.cell, filters.other].filter(Boolean);
    status.textContent = "Loading…";
    try {
      const loaded = await Promise.all(wanted.map(({ name }) => loadChunk(name)));
      if (current !== latest) {
        return;
      }
      const all = loaded.flatMap((chunk) => entriesOf(chunk, cells));
      found = all.filter((entry) => matches(entry, filters));
      if (filters.order) {
        found.sort(ORDERS[filters.order]);
      }
      status.textContent = `${found.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} items match.`;
    } catch (error) {
      found = [];
      status.textContent = `Could not be loaded: ${error.message}.`;
    }
    showPage();
  }

  async function searchAnew() {
    page = 0;
    writeAddress(readForm(), page);
    await search();
  }

  function turn(by) {
    page += by;
    showPage();
    writeAddress(readForm(), page);
    document.getElementById("matches").scrollIntoView();
  }

  // ---- starting

  function fill(name, options) {
    form[name].append(...options.map(([value, text]) => element("option", { value, textContent: text })));
  }

  async function start() {
    const unique = (name) => [...new Set(index.chunks.map((chunk) => chunk[name]))];
    fill("task", unique("task").map((task) => [task, task]));
    fill("language", [...unique("language").map((code) => [code, `${index.languages[code]} (${code})`]), ["", "all (slower)"]]);
    fill("cell", index.cells.map((cell) => [cell, cell]));
    fill("other", [["", "none"], ...index.cells.map((cell) => [cell, cell])]);
    form.cell.value = index.cells.at(-1);
    form.other.value = index.cells.length > 1 ? index.cells[0] : "";
    const kept = readAddress();
    if (kept) {
      for (const name of FILTERS) {
        if (name === "differ") {
          form.differ.checked = kept.has("differ");
        } else {
          form[name].value = kept.get(name) ?? "";
        }
      }
      page = Number(kept.get("page") ?? 0);
      document.getElementById("predictions").scrollIntoView();
    }
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", searchAnew);
    form.text.addEventListener("input", searchAnew);
    document.getElementById("previous").addEventListener("click", () => turn(-1));
    document.getElementById("next").addEventListener("click", () => turn(1));
    await search();
  }

  if (form) {
    start();
  }
}
