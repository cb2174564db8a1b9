// Everything that a row says is put into the page as text, never as markup.
"use strict";

const find = (id) => document.getElementById(id);
const WORDS = { keep: "kept", replace: "replaced", drop: "dropped" };
const KEYS = { k: "keep", r: "replace", d: "drop" };
const state = { filter: "todo", rows: [], at: 0, row: null, busy: false, zoomed: false, asked: 0 };

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function attempt(work) {
  if (state.busy) return;
  state.busy = true;
  try {
    await work();
    find("toast").hidden = true;
  } catch (error) {
    const gone = error instanceof TypeError;
    find("toast").textContent = gone ? "Not saved: byorn review has ended. Start it again to go on." : `Not saved: ${error.message}`;
    find("toast").hidden = false;
  } finally {
    state.busy = false;
  }
}

function write(place, pieces) {
  place.replaceChildren(...pieces.map((piece) => {
    if (!piece.hidden) return document.createTextNode(piece.text);
    const shown = document.createElement("span");
    shown.className = "hidden-letter";
    shown.title = "a character that cannot be seen";
    shown.textContent = piece.text;
    return shown;
  }));
}

function element(kind, pieces, className) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  typeof pieces === "string" ? made.textContent = pieces : write(made, pieces);
  return made;
}

async function load(keep) {
  const turn = ++state.asked;
  const asked = new URLSearchParams({ state: state.filter, text: find("text").value });
  selects().forEach((select, number) => select.value && asked.set(`filter${number}`, select.value));
  const found = await ask(`/queue?${asked}`);
  if (turn !== state.asked) return;
  state.rows = found.rows;
  showCounts(found.counts);
  showFilters(found.filters);
  const place = keep === undefined ? -1 : state.rows.indexOf(keep);
  state.at = Math.max(place, 0);
  await show();
}

function showCounts(counts) {
  find("done").textContent = counts.done.toLocaleString("en");
  find("flagged").textContent = counts.flagged.toLocaleString("en");
  find("bar").style.width = `${100 * counts.done / Math.max(counts.flagged, 1)}%`;
}

function selects() {
  return [...find("filters").querySelectorAll("select")];
}

function showFilters(filters) {
  if (selects().length === filters.length) return; // their values do not change
  find("filters").replaceChildren(...filters.map((filter) => {
    const label = element("label", "", "field");
    const select = document.createElement("select");
    const all = element("option", "all");
    all.value = "";
    select.append(all, ...filter.values.map((value, number) => {
      const option = element("option", `${value.name || "(none)"}, ${value.flagged} flagged`);
      option.value = String(number);
      return option;
    }));
    select.addEventListener("change", () => {
      select.blur();
      reload();
    });
    label.append(element("span", filter.name), select);
    return label;
  }));
}

async function show() {
  const number = state.rows[state.at];
  find("main").classList.toggle("is-empty", number === undefined);
  find("empty").hidden = number !== undefined;
  if (number === undefined) {
    state.row = null;
    const filtered = find("text").value || selects().some((select) => select.value);
    const finished = state.filter === "todo" && !filtered;
    find("empty").textContent = finished ? "Every flagged row is decided.\nCtrl-C in the terminal ends the page." : "No row fits.";
    return;
  }
  render(await ask(`/rows/${number}`));
  const following = state.rows[state.at + 1];
  if (following !== undefined) new Image().src = `/rows/${following}/images/0`;
}

function render(row) {
  state.row = row;
  state.zoomed = false;
  find("frame").classList.remove("zoomed");
  showImages(row);
  const users = row.prompt.map((said) => said.role).lastIndexOf("user");
  write(find("instruction"), users < 0 ? [] : row.prompt[users].pieces);
  write(find("response"), row.response);
  showEarlier(row.prompt.filter((said, place) => place !== users));
  const word = row.review;
  find("verdict").className = `badge ${word}`;
  find("verdict").textContent = WORDS[word] || (row.flagged ? "flagged" : "trusted");
  find("place").textContent = `${(state.at + 1).toLocaleString("en")} of ${state.rows.length.toLocaleString("en")}`;
  showScore(row);
  showFacts(row);
  for (const button of document.querySelectorAll("[data-word]")) button.classList.toggle("chosen", button.dataset.word === word);
  document.querySelector(".words").scrollTop = 0;
}

function showImages(row) {
  const image = find("image");
  image.hidden = !row.images.length;
  find("noimage").hidden = row.images.length > 0;
  find("noimage").textContent = "no image";
  find("thumbs").replaceChildren(...(row.images.length < 2 ? [] : row.images.map((_, place) => {
    const button = document.createElement("button");
    const small = document.createElement("img");
    small.src = `/rows/${row.number}/images/${place}`;
    small.alt = `image ${place + 1}`;
    button.type = "button";
    button.append(small);
    button.addEventListener("click", () => choose(place));
    return button;
  })));
  if (row.images.length) choose(0); else image.removeAttribute("src");
}

function choose(place) {
  const image = find("image");
  if (!state.row || place >= state.row.images.length) return;
  image.hidden = false;
  find("noimage").hidden = true;
  image.classList.remove("small");
  image.src = `/rows/${state.row.number}/images/${place}`;
  image.alt = `image ${place + 1} of the row`;
  [...find("thumbs").children].forEach((button, other) => button.setAttribute("aria-pressed", String(other === place)));
}

function showEarlier(messages) {
  const place = find("earlier");
  place.hidden = !messages.length;
  place.querySelector("summary").textContent = `${messages.length} earlier message${messages.length > 1 ? "s" : ""}`;
  place.querySelector("div").replaceChildren(...messages.map((said) => {
    const shown = element("div", said.pieces, "said");
    shown.prepend(element("b", said.role));
    return shown;
  }));
}

function showScore(row) {
  const known = row.score !== null;
  const most = Math.max(row.most, row.threshold, 1e-9);
  find("fill").style.width = known ? `${Math.min(100, Math.max(0, 100 * row.score / most))}%` : "0";
  find("mark").style.left = `${Math.min(100, Math.max(0, 100 * row.threshold / most))}%`;
  const said = known ? `${row.score.toFixed(2)} ${row.unit}` : "no score";
  find("score").textContent = `${said}; flagged from ${row.threshold.toFixed(2)}. Number ${row.rank.toLocaleString("en")} of ${row.of.toLocaleString("en")} rows.`;
}

function showFacts(row) {
  const facts = [["row", row.id], ...row.values.filter(([, value]) => value.length)];
  if (row.record >= 0) facts.push(["record", [...row.source, { text: ` #${row.record}`, hidden: false }]]);
  if (row.turn) facts.push(["turn", [{ text: String(row.turn), hidden: false }]]);
  row.images.forEach((name) => facts.push(["image", name]));
  find("facts").replaceChildren(...facts.flatMap(([name, pieces]) => [element("dt", name), element("dd", pieces)]));
  find("history").replaceChildren(...row.history.map((entry) => {
    const when = new Date(entry.when).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
    const line = element("p", `${WORDS[entry.review] || "back to the rule"} by `);
    line.append(element("span", entry.who), `, ${when}`);
    if (entry.why.length) line.append(": ", element("span", entry.why));
    return line;
  }));
}

function decide(word) {
  if (!state.row) return;
  flash(`[data-word="${word}"]`);
  attempt(async () => {
    const made = await ask(`/rows/${state.row.number}`, { review: word, why: find("why").value });
    find("why").value = "";
    showCounts(made.counts);
    if (state.filter === "todo") state.rows.splice(state.at, 1);
    else state.at = Math.min(state.at + 1, state.rows.length - 1);
    if (state.at >= state.rows.length) state.at = Math.max(0, state.rows.length - 1);
    await show();
  });
}

function undo() {
  flash("#undo");
  attempt(async () => {
    const made = await ask("/undo", {});
    showCounts(made.counts);
    if (made.row) await load(made.row.number);
  });
}

function step(by) {
  const at = state.at + by;
  if (at < 0 || at >= state.rows.length) return;
  attempt(async () => {
    state.at = at;
    await show();
  });
}

function flash(selector) {
  const button = document.querySelector(selector);
  button.classList.add("pressed");
  setTimeout(() => button.classList.remove("pressed"), 160);
}

function zoom() {
  find("frame").classList.toggle("zoomed");
}

function pick(filter) {
  state.filter = filter;
  for (const tab of document.querySelectorAll("[data-state]")) tab.setAttribute("aria-pressed", String(tab.dataset.state === filter));
  reload();
}

let waiting = 0;
function reload() {
  clearTimeout(waiting); // one for all that has changed, or the later ones would swallow a key
  if (state.busy) waiting = setTimeout(reload, 50); // a decision is being stored
  else attempt(() => load());
}

function pressed(event) {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "Escape" || (typing && event.key === "Enter")) {
    event.preventDefault(); // Escape would empty the search
    return document.activeElement.blur();
  }
  if (typing || event.target instanceof HTMLSelectElement || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (KEYS[key]) decide(KEYS[key]);
  else if (key === "u") undo();
  else if (key === "arrowright" || key === "j") step(1);
  else if (key === "arrowleft") step(-1);
  else if (key === "z") zoom();
  else if (key >= "1" && key <= "9") choose(Number(key) - 1);
  else if (key === "/" || key === "w") {
    event.preventDefault();
    find(key === "/" ? "text" : "why").focus();
  }
}

find("text").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(reload, 200);
});
for (const tab of document.querySelectorAll("[data-state]")) tab.addEventListener("click", () => pick(tab.dataset.state));
for (const button of document.querySelectorAll("[data-word]")) button.addEventListener("click", () => decide(button.dataset.word));
find("undo").addEventListener("click", undo);
find("previous").addEventListener("click", () => step(-1));
find("next").addEventListener("click", () => step(1));
find("frame").addEventListener("click", zoom);
find("image").addEventListener("load", (event) => event.target.classList.toggle("small", event.target.naturalWidth < 300));
find("image").addEventListener("error", () => {
  find("image").hidden = true;
  find("noimage").hidden = false;
  find("noimage").textContent = "the image cannot be shown";
});
document.addEventListener("keydown", pressed);
attempt(() => load());
