// The pages in the browser: keyboard shortcuts, live regions, the confirm dialog, the lab's stream, plots.
// Nothing is decided here; the server answers with HTML in which every text is escaped.
"use strict";

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const typing = (element) => element?.closest("input:not([type=checkbox], [type=radio], [type=range]), textarea, select");

// -- messages ----------------------------------------------------------------------------------------

let toastTimer;
function say(text, bad = false) {
  const toast = one("#toast");
  toast.textContent = text;
  toast.classList.toggle("bad", bad);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { toast.textContent = ""; }, bad ? 9000 : 4000);
}

document.addEventListener("trouble", (event) => say(event.detail.value, true));
document.addEventListener("say", (event) => say(event.detail.value ?? event.detail));
document.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  if (status === 401) location.reload();
  else say(responseText.length < 400 ? responseText : `The console answered with HTTP ${status}.`, true);
});
document.addEventListener("htmx:sendError", () => say("The console does not answer. Is `biobot web` still running?", true));

document.addEventListener("htmx:confirm", (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  const dialog = one("#confirm");
  one("p", dialog).textContent = event.detail.question;
  one("button.go", dialog).textContent = event.detail.elt.dataset.yes ?? "Yes";
  dialog.returnValue = "";
  dialog.onclose = () => { if (dialog.returnValue === "yes") event.detail.issueRequest(true); };
  dialog.showModal();
});

document.addEventListener("settled", (event) => {
  sessionStorage.setItem("said", event.detail.value);
  location.reload();
});
if (sessionStorage.getItem("said")) {
  say(sessionStorage.getItem("said"));
  sessionStorage.removeItem("said");
}

// -- live regions: a page that is visible polls every few seconds --------------------------------------------

async function refresh() {
  const main = one("main[data-live]");
  if (!main || document.hidden) return;
  let answer;
  try {
    const url = new URL(main.dataset.live, location.href);
    url.searchParams.set("seen", main.dataset.version);
    answer = await fetch(url, { headers: { "x-biobot-poll": "1" } });
  } catch {
    return;
  }
  if (answer.status === 401) return location.reload();
  if (answer.status !== 200) return;
  main.dataset.version = answer.headers.get("x-version") ?? "";
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const region of all("[data-region]", fresh)) {
    const old = document.getElementById(region.id);
    if (!old) continue;
    if (region.dataset.region === "merge") merge(old, region);
    else if (old.outerHTML !== region.outerHTML && !(old.contains(document.activeElement) && typing(document.activeElement))) {
      const open = all("details[open][id]", old).map((each) => each.id);
      const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
      old.replaceWith(region);
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      if (focused) document.getElementById(focused)?.focus();
      htmx.process(region);
    }
  }
  drawPlots();
  updateSelection();
  loadVerdicts();
}

// one request for the filters' verdicts on all new drafts
async function loadVerdicts() {
  if (!one("#drafts .verdicts[data-ask]")) return;
  const answer = await fetch("/queue/verdicts");
  if (!answer.ok) return;
  for (const found of all(".verdicts", new DOMParser().parseFromString(await answer.text(), "text/html"))) {
    const waiting = document.getElementById(found.id);
    if (waiting?.hasAttribute("data-ask")) waiting.replaceWith(found);
  }
}

// Rows that are being edited, can be undone or wait for an answer stay as they are; others come, change and go.
function merge(list, fresh) {
  const busy = (row) => row.matches(".undo") || one("textarea, .htmx-request", row);
  const wanted = new Map(all(":scope > [id]", fresh).map((row) => [row.id, row]));
  for (const row of all(":scope > [id]", list)) {
    const other = wanted.get(row.id);
    if (!other && !busy(row)) row.remove();
    else if (other && other.dataset.rev !== row.dataset.rev && !busy(row)) {
      const focus = row.contains(document.activeElement);
      row.replaceWith(other);
      htmx.process(other);
      if (focus) focusRow(other);
    }
  }
  let before = null;
  for (const row of wanted.values()) {
    const present = document.getElementById(row.id);
    if (present) { before = present; continue; }
    if (before) before.after(row); else list.prepend(row);
    htmx.process(row);
    before = row;
  }
}

setInterval(refresh, 3000);
document.addEventListener("visibilitychange", refresh);
document.addEventListener("changed", refresh);

// -- the queue: shortcuts and selection ---------------------------------------------------------------------

const drafts = () => all("#drafts > li");
const currentRow = () => one("#drafts > .here") ?? null;

function focusRow(row) {
  if (!row) return;
  all(".here").forEach((each) => each.classList.remove("here"));
  row.classList.add("here");
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest", behavior: "auto" });
}

function step(by) {
  const rows = drafts();
  const at = rows.indexOf(currentRow());
  focusRow(rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))]);
}

const decided = []; // ids of rows, in the order of the decisions on them
const press = (selector) => one(selector, currentRow() ?? document.createElement("i"))?.click();
const SHORTCUTS = {
  j: () => step(1),
  k: () => step(-1),
  a: () => press("[data-key=a]"),
  r: () => press("[data-key=r]"),
  e: () => press("[data-key=e]"),
  u: () => {
    const row = one("[data-key=u]", currentRow() ?? document.createElement("i")) ? currentRow() : document.getElementById(decided.pop());
    if (row) one("[data-key=u]", row)?.click();
  },
  x: () => { const box = currentRow() && one(".pick input", currentRow()); if (box) box.click(); },
  "?": () => one("#keys")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (typing(event.target)) {
    if (event.key === "Escape") one("[data-key=escape]", event.target.closest("li, form"))?.click();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form?.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
  if (one("#drafts") && SHORTCUTS[event.key]) {
    event.preventDefault();
    SHORTCUTS[event.key]();
  }
});

// -- rating: the first draft of the list is shown; more are fetched before it is empty -------------------------

const RATING = one("#to-rate");
if (RATING) {
  const press = (key) => { if (!one(".htmx-request", RATING)) one(`li [data-key="${key}"]`, RATING)?.click(); };
  const refill = () => { if (RATING.children.length < 6) htmx.trigger(RATING, "more"); };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.key === "q") location.href = "/";
    if ("0123us".includes(event.key)) press(event.key);
  });
  RATING.addEventListener("click", (event) => {
    if (event.target.closest("[data-key=s]")) { event.target.closest("li").remove(); refill(); }
  });
  document.addEventListener("htmx:afterSwap", refill);
}

document.addEventListener("focusin", (event) => {
  const row = event.target.closest("#drafts > li");
  if (row && !row.classList.contains("here")) {
    all(".here").forEach((each) => each.classList.remove("here"));
    row.classList.add("here");
  }
});

function updateSelection() {
  const bar = one("#bulk");
  if (!bar) return;
  const picked = all(".pick input:checked");
  bar.hidden = picked.length === 0;
  one("[data-picked]", bar).textContent = `${picked.length} selected`;
  one("[name=posts]", bar).value = picked.map((each) => each.value).join(" ");
  const whole = one("#pick-all");
  if (whole) {
    whole.checked = picked.length > 0 && picked.length === all(".pick input").length;
    whole.indeterminate = picked.length > 0 && !whole.checked;
  }
}

document.addEventListener("change", (event) => {
  if (event.target.id === "pick-all") all(".pick input").forEach((each) => { each.checked = event.target.checked; });
  updateSelection();
  if (event.target.matches("[data-go]")) location.search = new URLSearchParams(new FormData(event.target.form));
});

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-open], [data-unpick]");
  if (target?.dataset.open) document.getElementById(target.dataset.open).showModal();
  if (target?.matches("[data-unpick]")) { all(".pick input").forEach((each) => { each.checked = false; }); updateSelection(); }
});

// after a decision the next draft has the focus
document.addEventListener("htmx:afterSwap", (event) => {
  const area = one("textarea[autofocus]", event.target) ?? (event.target.matches?.("#drafts > li") && one("textarea", event.target));
  if (area) { area.focus(); area.setSelectionRange(area.value.length, area.value.length); }
  drawPlots();
  updateSelection();
  loadVerdicts();
});
document.addEventListener("decided", (event) => {
  const row = document.getElementById(event.detail.row);
  if (!row) return;
  decided.push(row.id);
  focusRow(row.nextElementSibling ?? row.previousElementSibling ?? row);
  setTimeout(() => { if (row.isConnected) { row.remove(); refresh(); } }, 12000);
});

// -- uploads: the file is the body of one request; the page shows how far it is ------------------------------------

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-upload]");
  if (!form) return;
  event.preventDefault();
  const file = one("[type=file]", form).files[0];
  if (!file) return;
  one("button", form).disabled = true;
  setTimeout(refresh, 300);
  try {
    const answer = await fetch(`${form.dataset.upload}?${new URLSearchParams({ name: file.name })}`, { method: "POST", body: file });
    if (answer.status === 401) location.reload();
    else if (!answer.ok) say((await answer.text()).slice(0, 400), true);
  } catch {
    say("The upload was cut off.", true);
  }
  one("button", form).disabled = false;
  refresh();
});

// -- plots ----------------------------------------------------------------------------------------------------

const drawn = new Map();

function drawPlots() {
  if (typeof uPlot === "undefined") return;
  for (const [box, plot] of drawn) if (!box.isConnected) { plot.destroy(); drawn.delete(box); }
  for (const box of all("[data-plot]")) {
    const at = Number(one("#temperature")?.value ?? NaN);
    const old = drawn.get(box);
    if (old) { old.at = at; old.redraw(false); continue; }
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const { data, series, x, y, percent, marker } = JSON.parse(box.dataset.plot);
    const show = (value) => value == null ? "" : percent ? `${Math.round(value * 100)}%` : `${+value.toPrecision(3)}`;
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font, labelFont: font, labelSize: 18 };
    const strokes = [colour("--accent"), colour("--wait"), colour("--info")];
    const plot = new uPlot({
      width: box.clientWidth,
      height: box.clientHeight,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      scales: { x: { time: false }, ...(percent ? { y: { range: [0, 1] } } : {}) },
      axes: [
        { ...axis, grid: { show: false }, size: 28, label: x },
        { ...axis, size: 50, ...(y ? { label: y } : {}), values: (_, ticks) => ticks.map(show) },
      ],
      series: [{}, ...series.map((label, i) => ({ label, stroke: strokes[i], width: 2.2, dash: i ? [6, 5] : [], spanGaps: true, points: { show: data[0].length < 30, size: 6 } }))],
      hooks: {
        draw: [(self) => {
          if (!marker || Number.isNaN(self.at)) return;
          const left = self.valToPos(self.at, "x", true);
          self.ctx.save();
          self.ctx.strokeStyle = colour("--ink");
          self.ctx.setLineDash([3, 4]);
          self.ctx.beginPath();
          self.ctx.moveTo(left, self.bbox.top);
          self.ctx.lineTo(left, self.bbox.top + self.bbox.height);
          self.ctx.stroke();
          self.ctx.restore();
        }],
      },
    }, data, box);
    plot.at = at;
    plot.redraw(false);
    drawn.set(box, plot);
  }
}

function redrawAll() {
  for (const [box, plot] of drawn) { plot.destroy(); drawn.delete(box); box.replaceChildren(); }
  drawPlots();
}
addEventListener("resize", () => { clearTimeout(redrawAll.timer); redrawAll.timer = setTimeout(redrawAll, 150); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);

// -- the lab ------------------------------------------------------------------------------------------------

const LAB = one("#lab");
let stream;
let sampleTimer;

function stopStream(state) {
  stream?.close();
  stream = undefined;
  if (state !== undefined) one("#lab-state").textContent = state;
  one("#lab-stop").hidden = true;
  one("#lab-go").hidden = false;
}

// a refused bio has no score, and comes after all others
const order = () => one("[name=order]:checked").value;
const rank = (bio) => Number(bio.dataset.score || -1);
const place = (bio) => {
  const next = all(".sample", bio.parentElement).find((each) => each !== bio && rank(each) < rank(bio));
  if (next) next.before(bio); else bio.parentElement.append(bio);
};

function sample() {
  stopStream();
  const query = new URLSearchParams(new FormData(LAB));
  history.replaceState(null, "", `?${query}`);
  const bios = one("#bios");
  bios.replaceChildren();
  one("#lab-state").textContent = "Loading the model …";
  one("#lab-stop").hidden = false;
  one("#lab-go").hidden = true;
  stream = new EventSource(`/lab/stream?${query}`);
  stream.addEventListener("bio", (event) => {
    bios.insertAdjacentHTML("beforeend", event.data);
    const fresh = bios.lastElementChild;
    htmx.process(fresh);
    if (order() === "score") place(fresh);
    one("#lab-state").textContent = "Drawing bios …";
  });
  stream.addEventListener("tally", (event) => { one("#tally").outerHTML = event.data; });
  stream.addEventListener("trouble", (event) => { say(event.data, true); stopStream("Stopped."); });
  stream.addEventListener("done", (event) => stopStream(event.data));
  stream.onerror = () => { if (stream) stopStream("The connection was lost."); };
}

if (LAB) {
  const dial = one("#temperature");
  const showTemperature = () => {
    one("#dial").textContent = Number(dial.value).toFixed(2);
    drawPlots();
  };
  dial.addEventListener("input", () => { showTemperature(); clearTimeout(sampleTimer); sampleTimer = setTimeout(sample, 500); });
  LAB.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(sampleTimer); sample(); });
  one("#lab-stop").addEventListener("click", () => stopStream("Stopped."));
  all("[name=tint]").forEach((each) => each.addEventListener("change", () => { one("#bios").dataset.tint = each.value; }));
  all("[name=order]").forEach((each) => each.addEventListener("change", () => {
    const bios = all("#bios .sample").sort((a, b) => a.dataset.at - b.dataset.at);
    one("#bios").append(...bios);
    if (order() === "score") bios.forEach(place);
  }));
  addEventListener("pagehide", () => stream?.close());
  showTemperature();
  if (LAB.dataset.start === "yes") sample();
}

drawPlots();
updateSelection();
loadVerdicts();
document.documentElement.dataset.ready = "yes";
