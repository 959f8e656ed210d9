"use strict";

// The figures: the same as in figures.py and render.py.

const count = number => number === null ? "unknown" : Math.round(number).toLocaleString("en-US");
const rate = number => number >= 100 ? count(number) : number >= 10 ? number.toFixed(1) : number ? number.toFixed(2) : "0";
const milliseconds = number =>
  number >= 100 ? count(number) : number >= 10 ? number.toFixed(1)
    : number >= 1 ? number.toFixed(2) : number ? number.toFixed(3) : "0";
const percent = share => `${rate(share * 100)} %`;
const level = (value, high, critical) => value >= critical ? "critical" : value >= high ? "high" : "";

function size(number) {
  if (number === null) return "unknown";
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (number < 1000) return unit !== "B" && number < 100 ? `${number.toFixed(1)} ${unit}` : `${Math.round(number)} ${unit}`;
    number /= 1000;
  }
  return number >= 100 ? `${count(number)} TB` : `${number.toFixed(1)} TB`;
}

function duration(seconds) {
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [whole / 86400, whole / 3600 % 24, whole / 60 % 60].map(Math.floor);
  if (days) return `${count(days)} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

function tiles(snapshot) {
  const { requests, hub, connections, workers, queue, descriptors, memory } = snapshot;
  const share = (part, all) => part && all ? part / all : 0;
  const wrong = share(requests.errors, requests.total);
  const connected = share(connections.open, connections.limit);
  const busy = share(workers.active, workers.limit);
  const waiting = share(queue.length, queue.limit);
  const opened = share(descriptors.open, descriptors.limit);
  return {
    requests: {
      value: rate(requests.per_second),
      note: `${rate(requests.per_second_minute)} over a minute, ${count(requests.total)} in all`,
    },
    lag: {
      value: `${milliseconds(hub.lag * 1000)} ms`,
      note: `most in a minute: ${milliseconds(hub.lag_max * 1000)} ms`,
      level: level(hub.lag_max, 0.05, 0.25),
    },
    connections: {
      value: count(connections.open),
      note: `of ${count(connections.limit)}, ${count(connections.idle)} idle`,
      share: connected,
      level: level(connected, 0.8, 0.95),
    },
    workers: {
      value: count(workers.active),
      note: `of ${count(workers.limit)}, ${count(workers.idle)} waiting`,
      share: busy,
      level: level(busy, 0.8, 0.95),
    },
    queue: {
      value: count(queue.length),
      note: `of ${count(queue.limit)} places`,
      share: waiting,
      level: level(waiting, 0.001, 0.5),
    },
    errors: { value: count(requests.errors), note: `${percent(wrong)} of all requests`, level: level(wrong, 0.01, 0.05) },
    memory: { value: size(memory.rss), note: "resident" },
    descriptors: {
      value: count(descriptors.open),
      note: `of ${count(descriptors.limit)}`,
      share: opened,
      level: level(opened, 0.8, 0.95),
    },
  };
}

function facts(snapshot) {
  const { hub, connections } = snapshot;
  const started = new Date(Math.floor(snapshot.started) * 1000).toISOString();
  return [
    duration(snapshot.uptime),
    `${started.slice(0, 10)} ${started.slice(11, 19)} UTC`,
    snapshot.listeners.join(", ") || "nothing",
    String(snapshot.pid),
    count(connections.total),
    `${count(connections.timed_out)} timed out, ${count(connections.evicted)} early`,
    count(snapshot.refused),
    count(snapshot.failures),
    `${count(hub.blocked)} times, ${rate(hub.blocked_seconds)} s in all`,
  ];
}

const CLASSES = ["2xx", "3xx", "4xx", "5xx", "none"];
const COLUMNS = [
  ["requests", count], ["per_second", rate], ["errors", count],
  ["p50", milliseconds], ["p95", milliseconds], ["p99", milliseconds], ["max", milliseconds], ["bytes", size],
];
const NAMES = { nobody: "nobody: not found", others: "all others" };
const place = row => row.path === null ? "-" : row.path;
const kind = row => row.path === null ? NAMES[row.kind] || row.kind : row.kind;

// Into the page. What has not changed is left alone, so that a selection stays.

const find = selector => document.querySelector(selector);
const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

function showTiles(snapshot) {
  for (const [key, tile] of Object.entries(tiles(snapshot))) {
    const element = find(`#tile-${key}`);
    element.dataset.level = tile.level || "";
    write(element.querySelector(".tag"), tile.level || "");
    write(element.querySelector(".value"), tile.value);
    write(element.querySelector(".note"), tile.note);
    if (tile.share !== undefined) element.querySelector(".fill").setAttribute("width", 100 * Math.min(1, tile.share));
  }
}

function showAnswers(statuses) {
  const total = CLASSES.reduce((sum, name) => sum + statuses[name], 0) || 1;
  let at = 0;
  for (const name of CLASSES) {
    const width = 100 * statuses[name] / total;
    const rect = find(`#answers rect.s${name}`);
    rect.setAttribute("x", at.toFixed(3));
    rect.setAttribute("width", width.toFixed(3));
    at += width;
    write(find(`#answers li.s${name} b`), count(statuses[name]));
  }
}

let sorted = { key: "requests", descending: true };
let shown = null;

function compare(one, other) {
  const [a, b] = [one, other].map(row => sorted.key === "path" ? place(row) : sorted.key === "kind" ? kind(row) : row[sorted.key]);
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return sorted.descending ? -order : order;
}

function showRows(rows) {
  const body = find("#directories tbody");
  const kept = new Map([...body.rows].map(row => [row.dataset.key, row]));
  const wanted = [...rows].sort(compare).map(row => {
    const key = JSON.stringify([row.path, row.kind]);
    const line = kept.get(key) || newRow(key);
    const texts = [place(row), kind(row), ...COLUMNS.map(([name, show]) => show(row[name]))];
    texts.forEach((text, index) => write(line.cells[index], text));
    line.cells[0].title = line.cells[0].textContent;
    line.cells[1].title = line.cells[1].textContent;
    line.className = row.errors ? "wrong" : "";
    return line;
  });
  if (wanted.length !== body.rows.length || wanted.some((line, index) => body.rows[index] !== line)) {
    body.replaceChildren(...wanted);
  }
}

function newRow(key) {
  const line = document.createElement("tr");
  line.dataset.key = key;
  const path = document.createElement("th");
  path.scope = "row";
  line.append(path, ...Array.from({ length: COLUMNS.length + 1 }, () => document.createElement("td")));
  line.cells[1].className = "kind";
  return line;
}

function backend(row) {
  const limit = row.limit ? ` of ${count(row.limit)}` : "";
  const times = ["p50", "p95"].map(name => row[name] === null ? "-" : milliseconds(row[name]));
  const numbers = ["failures", "queued", "idle", "tunnels", "served"].map(name => count(row[name]));
  return [row.path, row.name, row.state, `${count(row.in_flight)}${limit}`, ...numbers, ...times];
}

function showBackends(rows) {
  const body = find("#backends tbody");
  find("#backends").hidden = !rows.length;
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((row, index) => {
    const texts = backend(row);
    const line = body.rows[index] || body.appendChild(newBackend(texts.length));
    texts.forEach((text, column) => write(line.cells[column], text));
    line.className = row.state === "up" ? "" : "wrong";
    line.title = row.last_error;
  });
}

function newBackend(columns) {
  const line = document.createElement("tr");
  const path = document.createElement("th");
  path.scope = "row";
  line.append(path, ...Array.from({ length: columns - 1 }, () => document.createElement("td")));
  line.cells[1].className = "kind";
  return line;
}

function show(snapshot) {
  shown = snapshot;
  showTiles(snapshot);
  showAnswers(snapshot.requests.statuses);
  facts(snapshot).forEach((text, index) => write(document.querySelectorAll("#facts dd")[index], text));
  showRows(snapshot.directories);
  showBackends(snapshot.backends);
  note(snapshot);
  draw();
}

// The charts: the last minutes of this page, drawn from what it has asked for.

const [SHORTEST, LONGEST] = [60, 300]; // seconds
const CHARTS = {
  requests: snapshot => snapshot.requests.per_second,
  lag: snapshot => snapshot.hub.lag * 1000,
  connections: snapshot => snapshot.connections.open,
  workers: snapshot => snapshot.workers.active,
  queue: snapshot => snapshot.queue.length,
  errors: (snapshot, before) => before ? Math.max(0, snapshot.requests.errors - before.requests.errors) : 0,
  memory: snapshot => snapshot.memory.rss || 0,
  descriptors: snapshot => snapshot.descriptors.open || 0,
};
// What a chart is at least high for, so that a lag of a millisecond does not look like a mountain.
const LEAST = { requests: 1, lag: 10, connections: 10, workers: 4, queue: 4, errors: 4, memory: 1e6, descriptors: 20 };
const PEAKS = {
  requests: rate, lag: value => `${milliseconds(value)} ms`, connections: count, workers: count, queue: count,
  errors: value => `${count(value)} at once`, memory: size, descriptors: count,
};
const points = [];
let before = null;

function note(snapshot) {
  const values = {};
  for (const [key, value] of Object.entries(CHARTS)) values[key] = value(snapshot, before);
  points.push({ at: snapshot.uptime, values });
  while (points[0].at < snapshot.uptime - LONGEST || points[0].at > snapshot.uptime) points.shift();
  before = snapshot;
}

function draw() {
  const now = points[points.length - 1].at;
  const span = Math.min(LONGEST, Math.max(SHORTEST, now - points[0].at));
  const gap = 3 * interval / 1000 + 1; // seconds without an answer: the line is broken
  for (const key of Object.keys(CHARTS)) {
    const peak = Math.max(...points.map(point => point.values[key]));
    const top = Math.max(LEAST[key], peak) * 1.15;
    write(find(`#tile-${key} .peak`), `peak ${PEAKS[key](peak)}`);
    const runs = [];
    points.forEach((point, index) => {
      if (!index || point.at - points[index - 1].at > gap) runs.push([]);
      runs[runs.length - 1].push([300 - (now - point.at) / span * 300, 47 - point.values[key] / top * 46]);
    });
    const line = run => run.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L");
    const chart = find(`#tile-${key} .chart`);
    chart.querySelector(".curve").setAttribute("d", runs.map(run => `M${line(run)}`).join(""));
    const areas = runs.map(run => `M${run[0][0].toFixed(1)},48L${line(run)}L${run[run.length - 1][0].toFixed(1)},48Z`);
    chart.querySelector(".area").setAttribute("d", areas.join(""));
  }
}

// Asking.

const interval = Number(document.body.dataset.interval);
let paused = false;
let timer = 0;
let asking = false;
let last = new Date();
const lastTime = () => last.toLocaleTimeString();

function say(state, text) {
  find("#state").dataset.state = state;
  write(find("#state"), text);
}

async function ask() {
  clearTimeout(timer);
  if (paused || document.hidden || asking) return;
  asking = true;
  try {
    const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const snapshot = await answer.json();
    last = new Date();
    if (paused) return;
    show(snapshot);
    say("live", "Live");
  } catch (error) {
    if (!paused) say("lost", `No answer since ${lastTime()}. Trying again.`);
  } finally {
    asking = false;
    if (!paused) timer = setTimeout(ask, interval);
  }
}

function pause() {
  paused = !paused;
  write(find("#pause"), paused ? "Go on" : "Pause");
  if (paused) {
    clearTimeout(timer);
    say("paused", `Paused at ${lastTime()}`);
  } else {
    ask();
  }
}

function sortBy(key) {
  const text = key === "path" || key === "kind";
  sorted = { key, descending: sorted.key === key ? !sorted.descending : !text };
  for (const head of document.querySelectorAll("#directories thead th")) {
    if (head.dataset.key === key) head.setAttribute("aria-sort", sorted.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  if (shown) showRows(shown.directories);
}

for (const head of document.querySelectorAll("#directories thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  button.addEventListener("click", () => sortBy(head.dataset.key));
  head.append(button);
}
find("#pause").addEventListener("click", pause);
find("#pause").hidden = false;
document.addEventListener("visibilitychange", ask);
document.documentElement.classList.add("scripted");
ask();
