// Keeps the list of events fresh. Text only: nothing of it is ever read as HTML.
"use strict";

const EVERY_MS = 2000;
const rows = document.getElementById("feed");
const fresh = document.getElementById("fresh");
const dot = document.getElementById("dot");
let shown = "";

function tell(text, stale) {
  if (fresh.textContent !== text) fresh.textContent = text;
  dot.classList.toggle("stale", stale);
}

function show(events) {
  const key = JSON.stringify(events);
  if (key === shown || events.length === 0) return;
  shown = key;
  rows.replaceChildren(
    ...events.map((cells) => {
      const row = document.createElement("tr");
      cells.forEach((text, place) => {
        const cell = document.createElement(place === 0 ? "th" : "td");
        if (place === 0) cell.scope = "row";
        cell.textContent = text;
        row.append(cell);
      });
      return row;
    }),
  );
}

async function refresh() {
  try {
    const response = await fetch("/dashboard/events.json", { headers: { Accept: "application/json" } });
    if (response.status === 401) return location.assign("/login");
    if (!response.ok) throw new Error(`status ${response.status}`);
    show(await response.json());
    tell("Live", false);
  } catch {
    tell("No connection, trying again", true);
  }
}

setInterval(refresh, EVERY_MS);
