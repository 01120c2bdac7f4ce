"use strict";
// The browser of predictions. What a model wrote is only ever put into the page as text, never as HTML.

{
  const PAGE_SIZE = 5;
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
    const { id, item, prompt, reference, rendered } = chunk.items;
    return id.map((name, place) => ({
      id: name,
      item: item[place],
      language: chunk.language,
      rendered: rendered?.[place] ?? null,
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
  const isWrong = (mark) => mark?.value != null && !isRight(mark);
  const RESULTS = { // of the cell and of the one beside it
    "": () => true,
    gained: ([{ main }, beside]) => isRight(main) && isWrong(beside?.main),
    lost: ([{ main }, beside]) => isWrong(main) && isRight(beside?.main),
    right: ([{ main }]) => isRight(main),
    wrong: ([{ main }]) => isWrong(main),
    "no-answer": ([{ main }]) => main?.value != null && main.reason != null,
    unscored: ([{ main }]) => main?.value == null,
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
    if (linked) {
      return entry.id === linked;
    }
    if (!RESULTS[filters.result](entry.answers) || !ANSWERED[filters.answered](entry.answers[0])) {
      return false;
    }
    if (filters.differ && scoreOf(entry, 0) === scoreOf(entry, 1)) {
      return false;
    }
    const wanted = filters.text.toLowerCase();
    const texts = [entry.prompt, entry.reference, ...entry.answers.map((answer) => answer.completion)];
    return !wanted || texts.some((text) => text?.toLowerCase().includes(wanted));
  }

  // ---- the page's address remembers the filters, or the one item that it links to

  let linked = ""; // the id of that item

  function readForm() {
    return Object.fromEntries(FILTERS.map((name) => [name, name === "differ" ? form[name].checked : form[name].value]));
  }

  function addressOf(filters, more) {
    const kept = Object.entries({ ...filters, ...more }).filter(([, value]) => value);
    return `#predictions?${new URLSearchParams(kept)}`;
  }

  function writeAddress() {
    history.replaceState(null, "", addressOf(readForm(), { page: page || "", item: linked }));
  }

  /** Puts what the address says into the form, and says whether it says anything. */
  function readAddress() {
    const [place, kept] = location.hash.split(/\?(.*)/s);
    if (place !== "#predictions" || kept === undefined) {
      return false;
    }
    const said = new URLSearchParams(kept);
    for (const name of FILTERS) {
      if (name === "differ") {
        form.differ.checked = said.has("differ");
      } else {
        form[name].value = said.get(name) ?? "";
      }
    }
    page = Number(said.get("page") ?? 0);
    linked = said.get("item") ?? "";
    return true;
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
    const filters = readForm();
    const link = addressOf({ task: filters.task, language: entry.language, cell: filters.cell, other: filters.other }, { item: entry.id });
    return element("article", { className: "item" },
      element("div", { className: "head" },
        element("h3", { textContent: `${entry.id}, ${index.languages[entry.language]}` }),
        element("a", { href: link, textContent: "link" })),
      element("div", { className: "beside" },
        element("div", {}, ...labelled("Prompt", entry.prompt, entry.language), ...renderedBlock(entry)),
        element("div", {}, ...labelled("Reference", entry.reference, entry.language))),
      element("div", { className: "beside answers" }, ...entry.answers.map((answer) => answerBlock(answer, entry.language))),
      ...translationsBlock(entry, filters));
  }

  /** The prompt as the model got it, with its template, exemplars and special tokens. */
  function renderedBlock({ rendered, language }) {
    const summary = element("summary", { textContent: "As the model got it" });
    return rendered === null ? [] : [element("details", {}, summary, textBlock(rendered, language))];
  }

  /** The same item in the other languages, read when it is opened. */
  function translationsBlock(entry, { task, cell }) {
    const others = index.chunks.filter((chunk) => chunk.task === task && chunk.language !== entry.language);
    if (!others.length) {
      return [];
    }
    const beside = element("div", { className: "beside" });
    const details = element("details", {}, element("summary", { textContent: `${cell} on this item in other languages` }), beside);
    details.addEventListener("toggle", async () => {
      const loaded = await Promise.all(others.map(({ name }) => loadChunk(name)));
      const same = loaded.flatMap((chunk) => entriesOf(chunk, [cell])).filter(({ item }) => item === entry.item);
      beside.replaceChildren(...same.map((other) => element("div", {},
        ...labelled(index.languages[other.language], other.prompt, other.language),
        answerBlock(other.answers[0], other.language))));
      if (!same.length) {
        beside.textContent = "There are no translations of this item.";
      }
    }, { once: true });
    return [details];
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
    document.getElementById("save").disabled = found.length === 0;
    document.getElementById("unlink").hidden = !linked;
  }

  // ---- saving

  function quoted(value) {
    const text = `${value ?? ""}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  /** What matches as CSV: a row for each item and cell, with a column for each metric. */
  function csvOf(entries, task) {
    const metrics = [...new Set(entries.flatMap(({ answers }) => answers.flatMap(({ marks }) => marks.map(({ metric }) => metric))))];
    const heading = ["task", "language", "item", "id", "cell", "prompt", "reference", "completion", "tokens", "finish", ...metrics];
    const rows = entries.flatMap((entry) => entry.answers.map((answer) => [
      task, entry.language, entry.item, entry.id, answer.cell, entry.prompt, entry.reference,
      answer.completion, answer.tokens, answer.finish,
      ...metrics.map((metric) => answer.marks.find((mark) => mark.metric === metric)?.value),
    ]));
    return [heading, ...rows].map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
  }

  function save() {
    const { task, language, cell } = readForm();
    const href = URL.createObjectURL(new Blob([csvOf(found, task)], { type: "text/csv" }));
    element("a", { href, download: `${[task, language || "all", cell].join("-")}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
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
    linked = "";
    if (["gained", "lost"].includes(form.result.value) && !form.other.value) {
      form.other.value = index.cells.find((cell) => cell !== form.cell.value) ?? "";
    }
    writeAddress();
    await search();
  }

  function turn(by) {
    page += by;
    showPage();
    writeAddress();
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
    if (readAddress()) {
      document.getElementById("predictions").scrollIntoView();
    }
    addEventListener("hashchange", () => readAddress() && search());
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", searchAnew);
    form.text.addEventListener("input", searchAnew);
    document.getElementById("previous").addEventListener("click", () => turn(-1));
    document.getElementById("next").addEventListener("click", () => turn(1));
    document.getElementById("save").addEventListener("click", save);
    document.getElementById("unlink").addEventListener("click", searchAnew);
    await search();
  }

  if (form) {
    start();
  }
}
