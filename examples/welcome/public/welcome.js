// The live parts of the home page. Each function below asks one handler and shows what it answered.

const card = (id) => document.getElementById(id);
const out = (id) => card(id).querySelector("[data-out]");
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
const ALL = 50;
const IN_TURN = 5000; // milliseconds that fifty requests take one after another

const dots = Array.from({ length: ALL }, () => document.createElement("i"));
card("fifty").querySelector(".dots").append(...dots);

async function json(url, options = {}) {
  const response = await fetch(url, { cache: "no-store", headers: { Accept: "application/json" }, ...options });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return response.json();
}

function showBar(ms) {
  const bar = card("fifty").querySelector(".bar-took");
  bar.style.width = `${Math.min(100, (100 * ms) / IN_TURN)}%`;
  bar.querySelector("b").textContent = `this time: ${seconds(ms)}`;
  card("fifty").classList.add("ran");
}

const run = {
  async browser() {
    dots.forEach((dot) => (dot.className = ""));
    const start = performance.now();
    const good = await Promise.all(
      dots.map(async (dot, n) => {
        const response = await fetch(`/slow/?n=${n}`, { cache: "no-store" });
        dot.className = response.ok ? "done" : "failed";
        return response.ok;
      }),
    );
    const took = performance.now() - start;
    showBar(took);
    out("fifty").textContent =
      `${good.filter(Boolean).length} answers in ${seconds(took)}. ` +
      "The server would take all fifty at once; the browser sends them over a few connections, most of them over six.";
  },

  async burst() {
    dots.forEach((dot) => (dot.className = ""));
    const { good, seconds: took } = await json("/burst/");
    dots.forEach((dot, n) => (dot.className = n < good ? "done" : "failed"));
    showBar(1000 * took);
    out("fifty").textContent =
      `${good} answers in ${seconds(1000 * took)}, each over a connection of its own. ` +
      "Opening the connections is part of it, and so are both ends: one process was client and server.";
  },

  async clock() {
    out("clock").textContent = JSON.stringify(await json("/clock/?colour=green&n=3"), null, 2);
  },

  async stream() {
    const start = performance.now();
    out("stream").textContent = "";
    const response = await fetch("/stream/?as=text", { cache: "no-store" });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const names = part.value.trim().split("\n").map((line) => line.split(" left")[0]);
      for (const name of names.filter(Boolean))
        out("stream").textContent += `${name} came after ${seconds(performance.now() - start)}\n`;
    }
  },

  async visits() {
    const { visits } = await json("/visits/");
    out("visits").textContent = visits;
    card("visits").querySelector("[data-unit]").textContent = visits === 1 ? "visit" : "visits";
  },

  async forget() {
    await fetch("/visits/forget", { cache: "no-store" });
    out("visits").textContent = "0";
    card("visits").querySelector("[data-unit]").textContent = "visits";
  },

  async prime(form) {
    const first = 16 * (form.elements.n.valueAsNumber - 1);
    const headers = { Range: `bytes=${first}-${first + 15}` };
    const response = await fetch("/primes.txt", { cache: "no-store", headers });
    const [number, prime] = (await response.text()).trim().split(/\s+/);
    out("primes").textContent =
      `Prime number ${number} is ${prime}. ` +
      `The server answered ${response.status} with ${response.headers.get("Content-Range")}.`;
  },

  async file(input) {
    if (input.files.length) await send(input.files[0]);
    input.value = "";
  },

  async zeros() {
    await send(new Blob([new Uint8Array(8_000_000)]));
  },

  async request() {
    const { headers, ...facts } = await json("/request/");
    const rows = [...Object.entries(facts), ...Object.entries(headers)].map(([name, value]) => {
      const row = document.createElement("tr");
      const cells = [document.createElement("th"), document.createElement("td")];
      cells[0].textContent = name;
      cells[1].textContent = value;
      row.append(...cells);
      return row;
    });
    out("request").tBodies[0].replaceChildren(...rows);
  },
};

async function send(file) {
  out("digest").textContent = "Sending…";
  const start = performance.now();
  const headers = { Accept: "application/json", "Content-Type": "application/octet-stream" };
  const { bytes, sha256 } = await json("/digest/", { method: "POST", body: file, headers });
  out("digest").textContent = `${bytes.toLocaleString("en")} bytes in ${seconds(performance.now() - start)}. SHA-256 ${sha256}`;
}

// Runs one demo; its button rests meanwhile, and what goes wrong is said in its card.
async function start(name, element) {
  const place = element.closest(".card");
  const buttons = place.querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  place.querySelector(".failed")?.remove();
  try {
    await run[name](element);
  } catch (error) {
    const message = document.createElement("p");
    message.className = "failed";
    message.textContent = `That did not work: ${error.message}`;
    place.querySelector("h2").after(message);
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

for (const element of document.querySelectorAll("[data-run]")) {
  const event = { FORM: "submit", INPUT: "change" }[element.tagName] ?? "click";
  element.addEventListener(event, (happened) => {
    if (event === "submit") happened.preventDefault();
    start(element.dataset.run, element);
  });
}

for (const name of ["clock", "visits", "request"]) start(name, card(name));
start("prime", card("primes").querySelector("form"));
