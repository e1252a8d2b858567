// Keeps the dashboard fresh: reads its data as JSON every few seconds and draws the chart.
"use strict";

const EVERY_MS = 4000;
const SERIES = [
  { metric: "sent", label: "Sends", colour: "--sends" },
  { metric: "replied", label: "Replies", colour: "--replies" },
  { metric: "unsubscribed", label: "Unsubscribes", colour: "--unsubscribes" },
];
const NOTES = {
  open_rate: (o) => `${number(o.opened)} opened`,
  click_rate: (o) => `${number(o.clicked)} clicked`,
  reply_rate: (o) => `${number(o.replied)} replied`,
  bounce_rate: (o) => `${number(o.bounced_hard)} hard, ${number(o.bounced_soft)} soft`,
  unsubscribe_rate: (o) => `${number(o.unsubscribed)} unsubscribed`,
};
const RATES = [
  ["opened", "open_rate"],
  ["clicked", "click_rate"],
  ["replied", "reply_rate"],
  ["bounced_hard", "bounce_rate"],
  ["unsubscribed", "unsubscribe_rate"],
];

const $ = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en-US");
const percent = (rate) => `${(rate * 100).toFixed(1)}%`;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Writing the same text again would make screen readers repeat it.
function say(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function cell(tag, text, small) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (small !== undefined) {
    const note = document.createElement("small");
    note.textContent = small;
    element.append(" ", note);
  }
  if (tag === "th") element.scope = "row";
  return element;
}

function showOverview(overview) {
  for (const element of document.querySelectorAll("[data-figure]")) {
    const name = element.dataset.figure;
    say(element, name.endsWith("_rate") ? percent(overview[name]) : number(overview[name]));
  }
  for (const [name, note] of Object.entries(NOTES)) {
    say(document.querySelector(`[data-note="${name}"]`), note(overview));
  }
}

function showDays(days) {
  say($("span"), String(days.length));
  const rows = days.map((day) => {
    const row = document.createElement("tr");
    row.append(cell("th", day.bucket), ...SERIES.map((s) => cell("td", number(day[s.metric]))));
    return row;
  });
  $("days").replaceChildren(...rows.reverse());
}

function showCampaigns(campaigns) {
  if (campaigns.length === 0) return;
  const rows = campaigns.map((campaign) => {
    const row = document.createElement("tr");
    const state = document.createElement("span");
    state.className = `state ${campaign.status}`;
    state.textContent = campaign.status || "unknown";
    const stateCell = document.createElement("td");
    stateCell.append(state);
    const name = cell("th", "");
    const link = document.createElement("a");
    link.href = `/dashboard/campaigns/${encodeURIComponent(campaign.id)}`;
    link.textContent = campaign.name || campaign.id;
    name.append(link);
    row.append(name, stateCell, cell("td", number(campaign.sent)));
    row.append(...RATES.map(([count, rate]) => cell("td", number(campaign[count]), percent(campaign[rate]))));
    return row;
  });
  $("campaigns").replaceChildren(...rows);
}

let chart = null;
let shownDays = "";

function showChart(days) {
  const key = JSON.stringify(days);
  if (chart && key === shownDays) return;
  shownDays = key;
  if (chart === null) chart = new Chart($("activity"), configuration());
  chart.data.labels = days.map((day) => day.bucket);
  SERIES.forEach((series, index) => {
    chart.data.datasets[index].data = days.map((day) => day[series.metric]);
  });
  chart.update("none");
}

function configuration() {
  return {
    type: "bar",
    data: { labels: [], datasets: SERIES.map(dataset) },
    options: {
      maintainAspectRatio: false,
      animation: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: {
          grid: { display: false },
          border: { color: colour("--line") },
          ticks: {
            color: colour("--quiet"),
            maxRotation: 0,
            autoSkipPadding: 24,
            callback(value) {
              return shortDay(this.getLabelForValue(value));
            },
          },
        },
        y: {
          beginAtZero: true,
          suggestedMax: 5,
          grace: "5%",
          border: { display: false },
          grid: { color: colour("--line") },
          ticks: { color: colour("--quiet"), precision: 0, maxTicksLimit: 6 },
        },
      },
      plugins: {
        legend: {
          position: "top",
          align: "end",
          labels: { color: colour("--text"), usePointStyle: true, boxHeight: 7, padding: 18 },
        },
        tooltip: { usePointStyle: true, padding: 10 },
      },
    },
  };
}

function dataset(series) {
  const shade = colour(series.colour);
  return {
    label: series.label,
    data: [],
    backgroundColor: shade,
    borderRadius: 3,
    maxBarThickness: 22,
    categoryPercentage: 0.75,
    barPercentage: 0.95,
    pointStyle: "rectRounded",
  };
}

function shortDay(day) {
  const options = { day: "numeric", month: "short", timeZone: "UTC" };
  return new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", options);
}

function show(data) {
  showOverview(data.overview);
  showDays(data.activity);
  showCampaigns(data.campaigns);
  showChart(data.activity);
}

function tell(text, stale) {
  say($("fresh"), text);
  $("dot").classList.toggle("stale", stale);
}

async function refresh() {
  try {
    const response = await fetch("/dashboard/data.json", { headers: { Accept: "application/json" } });
    if (response.status === 401) {
      location.assign("/login");
      return;
    }
    if (!response.ok) throw new Error(`status ${response.status}`);
    show(await response.json());
    tell("Live", false);
  } catch {
    tell("No connection, trying again", true);
  }
  setTimeout(refresh, EVERY_MS);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (chart === null) return;
  chart.destroy();
  chart = null;
  showChart(JSON.parse(shownDays));
});

refresh();
