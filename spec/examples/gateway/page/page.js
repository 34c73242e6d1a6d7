// Watches the tasks: asks for them again and again and keeps what is shown in step. Text from the service is only ever
// set as text.
"use strict";

const interval = 1000; // of what runs
const longInterval = 30000; // of what has ended
const patience = 20000;
const ended = ["Completed", "Failed", "Cancelled"];
const shown = new Map(); // task id -> its article
let timer;

const byId = (id) => document.getElementById(id);
const pathOf = (id) => "tasks/" + encodeURIComponent(id);

function setText(element, text) {
  const value = text ?? "";
  if (element.textContent !== value) element.textContent = value;
}

class Failure extends Error {
  constructor(code, message, wait) {
    super(message);
    this.code = code;
    this.wait = wait || 0;
  }
}

async function get(path) {
  const reply = await fetch(path, { signal: AbortSignal.timeout(patience) }).catch(() => {
    throw new Failure("No connection", "the gateway does not answer");
  });
  const body = await reply.json().catch(() => null);
  if (reply.ok && body) return body;
  const error = body?.error ?? { code: "HTTP " + reply.status, message: "the gateway gave no reason" };
  throw new Failure(error.code, error.message, 1000 * Number(reply.headers.get("Retry-After")));
}

function showProblem(problem) {
  byId("problem").hidden = !problem;
  setText(byId("problem"), problem?.message);
}

// Failed records, when they are asked for ------------------------------------------------------------

function row(failure) {
  const line = document.createElement("tr");
  line.insertCell().textContent = failure.line ?? "?";
  const why = line.insertCell();
  why.append(failure.reason ?? "");
  if (failure.input) why.append(Object.assign(document.createElement("code"), { textContent: failure.input }));
  return line;
}

function noteOn(report, total) {
  const count = report.failures.length;
  if (report.more) return "The first " + count + " of " + Math.max(total, count + 1) + ".";
  return count ? "" : "None.";
}

async function showFailures(id, article) {
  const find = (selector) => article.querySelector(selector);
  setText(find(".note"), "Loading …");
  try {
    const report = await get(pathOf(id) + "/failures");
    find("tbody").replaceChildren(...report.failures.map(row));
    find(".records").hidden = report.failures.length === 0;
    setText(find(".note"), noteOn(report, Number(find(".failed dd").textContent) || 0));
  } catch (problem) {
    find(".records").hidden = true;
    setText(find(".note"), problem.message);
  }
}

// Tasks ----------------------------------------------------------------------------------------------

function newArticle(task) {
  const article = byId("task").content.firstElementChild.cloneNode(true);
  const details = article.querySelector("details");
  article.querySelector("h2").textContent = task.taskId;
  article.querySelector("progress").setAttribute("aria-label", "Progress of " + task.taskId);
  details.addEventListener("toggle", () => details.open && showFailures(task.taskId, article));
  byId("tasks").prepend(article);
  return article;
}

// What is not known: no bar, and a dash.
function update(article, task) {
  const find = (selector) => article.querySelector(selector);
  const percentage = task.percentageProgress;
  article.dataset.status = task.status ?? "Unknown";
  setText(find(".state"), task.status);
  setText(find(".message"), task.message);
  if (percentage === undefined) find("progress").removeAttribute("value");
  else find("progress").value = percentage;
  setText(find(".registered"), String(task.successCount ?? "–"));
  setText(find(".failed dd"), String(task.failureCount ?? "–"));
  find(".failed").classList.toggle("some", task.failureCount > 0);
  setText(find(".percentage"), percentage === undefined ? "–" : percentage + " %");
  setText(find(".started"), task.creationDate ? new Date(task.creationDate * 1000).toLocaleString() : "–");
}

// What was known of it stays to be seen.
function showError(article, error) {
  article.dataset.status = "Unknown";
  setText(article.querySelector(".state"), error.code);
  setText(article.querySelector(".message"), error.message);
}

function show(task) {
  if (!shown.has(task.taskId)) shown.set(task.taskId, newArticle(task));
  if (task.error) showError(shown.get(task.taskId), task.error);
  else update(shown.get(task.taskId), task);
}

// A running task that is no longer listed has ended: its last state stays to be seen, unless it is gone.
async function showEnd(id) {
  const article = shown.get(id);
  if (ended.includes(article.dataset.status)) return;
  try {
    update(article, await get(pathOf(id)));
  } catch (problem) {
    if (problem.code !== "ResourceNotFoundException") throw problem;
    article.remove();
    if (shown.get(id) === article) shown.delete(id);
  }
}

async function look(status) {
  const found = await get("tasks" + (status && "?status=" + status));
  if (status !== byId("status").value) return;
  const listed = new Set(found.tasks.map((task) => task.taskId));
  found.tasks.reverse().forEach(show); // each new one comes first
  await Promise.all([...shown.keys()].filter((id) => !listed.has(id)).map(showEnd));
  byId("none").hidden = shown.size > 0;
  byId("more").hidden = !found.more;
}

// One look after the other, while somebody can see it.
async function watch() {
  const status = byId("status").value;
  let problem = null;
  clearTimeout(timer);
  if (document.hidden) return;
  await look(status).catch((caught) => { problem = caught; });
  if (status !== byId("status").value) return; // which is looked at by now
  showProblem(problem);
  clearTimeout(timer); // of a look that ended meanwhile
  timer = setTimeout(watch, problem ? Math.max(interval, problem.wait || 0) : status ? longInterval : interval);
}

document.addEventListener("visibilitychange", watch);
byId("status").addEventListener("change", () => {
  shown.clear();
  byId("tasks").replaceChildren();
  watch();
});
watch();
