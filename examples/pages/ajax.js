// Sends the text of the form to api/ whenever it changes, and shows the answer.

const form = document.querySelector("#ajax");

function body() {
  const text = form.elements.text.value;
  // A URLSearchParams goes out as application/x-www-form-urlencoded.
  if (form.elements.as.value === "form") return { body: new URLSearchParams({ text }) };
  return { body: JSON.stringify({ text }), headers: { "Content-Type": "application/json" } };
}

let latest = 0;

async function measure() {
  const number = ++latest;
  const answer = await fetch(form.action, { method: "POST", ...body() });
  const measures = await answer.json();
  if (number !== latest) return; // the text has changed since
  for (const place of form.querySelectorAll("[data-out]")) place.textContent = measures[place.dataset.out] ?? "–";
}

form.addEventListener("input", measure);
measure();
