// Watches the tasks: asks for them every second and keeps what is shown in step. Text from the service is only ever
// set as text.
"use strict";

const interval = 1000;
const shown = new Map(); // task id -> its article

const byId = (id) => document.getElementById(id);

function setText(element, text) {
  const value = text ?? "";
  if (element.textContent !== value) element.textContent = value;
}

class Failure extends Error {
  constructor(error, wait) {
    super(error.code + ": " + error.message);
    this.wait = wait;
  }
}

async function get(path) {
  const reply = await fetch(path, { headers: { Accept: "application/json" } });
  const body = await reply.json().catch(() => ({}));
  if (reply.ok) return body;
  const error = body.error ?? { code: "HTTP " + reply.status, message: "the gateway gave no reason" };
  throw new Failure(error, 1000 * Number(reply.headers.get("Retry-After") ?? 0));
}

function showProblem(problem) {
  byId("problem").hidden = !problem;
  setText(byId("problem"), problem ? problem.message : "");
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

async function showFailures(id, details) {
  const note = details.querySelector(".note");
  const table = details.querySelector("table");
  setText(note, "Loading …");
  try {
    const report = await get("tasks/" + encodeURIComponent(id) + "/failures");
    table.tBodies[0].replaceChildren(...report.failures.map(row));
    table.hidden = report.failures.length === 0;
    setText(note, report.more ? "The first " + report.failures.length + "."
      : report.failures.length ? "" : "The report has none yet.");
  } catch (problem) {
    table.hidden = true;
    setText(note, problem.message);
  }
}

// Tasks ----------------------------------------------------------------------------------------------

function newArticle(task) {
  const article = byId("task").content.firstElementChild.cloneNode(true);
  const details = article.querySelector("details");
  article.querySelector("h2").textContent = task.taskId;
  article.querySelector("progress").setAttribute("aria-label", "Progress of " + task.taskId);
  details.addEventListener("toggle", () => details.open && showFailures(task.taskId, details));
  byId("tasks").append(article);
  return article;
}

function dateOf(seconds) {
  return seconds === undefined ? "" : new Date(seconds * 1000).toLocaleString();
}

function update(article, task) {
  const find = (selector) => article.querySelector(selector);
  article.dataset.status = task.status ?? "Unknown";
  setText(find(".state"), task.error ? task.error.code : task.status);
  find("progress").value = task.percentageProgress ?? 0;
  setText(find(".registered"), String(task.successCount ?? 0));
  setText(find(".failed dd"), String(task.failureCount ?? 0));
  find(".failed").classList.toggle("some", (task.failureCount ?? 0) > 0);
  setText(find(".percentage"), (task.percentageProgress ?? 0) + " %");
  setText(find(".started"), dateOf(task.creationDate));
  setText(find(".message"), task.error ? task.error.message : task.message);
}

function show(task) {
  if (!shown.has(task.taskId)) shown.set(task.taskId, newArticle(task));
  update(shown.get(task.taskId), task);
}

// A running task that is no longer listed has ended: its last state stays to be seen.
async function showEnd(id) {
  const article = shown.get(id);
  if (["Completed", "Failed", "Cancelled"].includes(article.dataset.status)) return;
  update(article, await get("tasks/" + encodeURIComponent(id)));
}

async function look() {
  const status = byId("status").value;
  const found = await get("tasks" + (status ? "?status=" + status : ""));
  if (status !== byId("status").value) return;
  const listed = new Set(found.tasks.map((task) => task.taskId));
  found.tasks.forEach(show);
  await Promise.all([...shown.keys()].filter((id) => !listed.has(id)).map(showEnd));
  byId("none").hidden = shown.size > 0;
  byId("more").hidden = !found.more;
}

async function watch() {
  let wait = interval;
  try {
    if (!document.hidden) await look();
    showProblem(null);
  } catch (problem) {
    showProblem(problem);
    wait = Math.max(interval, problem.wait ?? 0);
  }
  setTimeout(watch, wait);
}

byId("status").addEventListener("change", () => {
  shown.clear();
  byId("tasks").replaceChildren();
  look().then(() => showProblem(null), showProblem);
});
watch();
