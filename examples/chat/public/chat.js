"use strict";

const lines = document.querySelector("#lines");
const people = document.querySelector("#people");
const state = document.querySelector("#state");
const form = document.querySelector("#say");
const button = form.querySelector("button");
let name = new URLSearchParams(location.search).get("name") || localStorage.getItem("name") || "";
let socket;
let wait = 500; // milliseconds until the next attempt

function element(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function show(line) {
  const time = new Date(line.at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const item = element("li", line.text, line.who === name ? "mine" : "");
  item.prepend(element("small", `${line.who}, ${time}`));
  lines.append(item);
  lines.scrollTop = lines.scrollHeight;
}

function say(kind, text) {
  state.dataset.state = kind;
  state.textContent = text;
  button.disabled = kind !== "open";
}

const answers = {
  welcome(message) {
    name = message.name;
    localStorage.setItem("name", name);
    document.querySelector("#name").textContent = name;
    lines.replaceChildren();
    message.lines.forEach(show);
    say("open", "connected");
  },
  line: show,
  people(message) {
    people.replaceChildren(...message.names.map((who) => element("li", who, who === name ? "me" : "")));
  },
};

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/room?name=${encodeURIComponent(name)}`);
  socket.onopen = () => { wait = 500; };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    answers[message.kind](message);
  };
  socket.onclose = (event) => {
    say("closed", event.reason ? `${event.reason}; trying again …` : "not connected; trying again …");
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 15000);
  };
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const field = form.elements.text;
  if (socket.readyState === WebSocket.OPEN && field.value.trim()) {
    socket.send(field.value);
    field.value = "";
  }
  field.focus();
});

say("connecting", "connecting …");
connect();
