// Keeps the list of events fresh. Text only: nothing of it is ever read as HTML.
"use strict";

async function refresh() {
  const response = await fetch("/dashboard/events.json", { headers: { Accept: "application/json" } });
  if (response.status === 401) return location.assign("/login");
  const rows = (await response.json()).map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((text, place) => {
      const cell = document.createElement(place === 0 ? "th" : "td");
      if (place === 0) cell.scope = "row";
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  });
  if (rows.length > 0) document.getElementById("rows").replaceChildren(...rows);
}

setInterval(() => refresh().catch(() => {}), 2000);
