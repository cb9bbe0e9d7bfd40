"use strict";
// Asks the API of the address that the page came from, and draws what it answers.
const base = location.pathname.replace(/\/(vmui|graph)\/.*$/, "").replace(/^(\/select\/[^/]+)$/, "$1/prometheus");
const colors = ["#2f6fb0", "#c8553d", "#3f8f4f", "#8a5ba6", "#b58900", "#2aa198", "#d33682", "#6c757d"];
const byId = (id) => document.getElementById(id);
const [width, height, left, bottom] = [1000, 260, 70, 20];
let zone = "UTC";
let dashboards = [];

const unread = (what, text, wanted) => new Error(`cannot read the ${what} ${JSON.stringify(text)}; want ${wanted}`);

// A duration as the API has it; a bare number is seconds.
const seconds = (text) => {
  const units = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };
  const bare = text.trim();
  if (/^\d+(\.\d+)?$/.test(bare) && Number(bare) > 0) return Number(bare);
  let sum = 0;
  for (const [, number, unit] of bare.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwy])/g)) sum += number * units[unit];
  if (!/^(\d+(\.\d+)?(ms|[smhdwy]))+$/.test(bare) || !sum) throw unread("duration", text, "for example 15, 500ms or 1h30m");
  return sum;
};

const shownTime = (time) =>
  new Date(time * 1000).toLocaleString("sv-SE", zone === "Local" ? {} : { timeZone: zone });

// A moment in seconds: now or some time before it, seconds since 1970, or a date, which is one of the page's zone if it names none.
const moment = (text) => {
  const bare = text.trim();
  const [isRelative, , before] = bare.match(/^(now)?(?:\s*-\s*(\S+))?$/) || [];
  if (isRelative !== undefined) return Date.now() / 1000 - (before ? seconds(before) : 0);
  if (/^\d{5,}(\.\d+)?$/.test(bare)) return Number(bare);
  const date = bare.match(/^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?$/);
  const found = Date.parse(date ? `${date[1]}T${date[2] || "00:00"}Z` : bare) / 1000;
  if (!Number.isFinite(found)) throw unread("time", text, "for example now-1h, 2026-03-02 15:04 or seconds since 1970");
  if (!date) return found;
  const ahead = Date.parse(`${shownTime(found).replace(" ", "T")}Z`) / 1000 - Math.floor(found);
  return found - ahead;
};

// What a link asks for: one of this page, or one of Prometheus' or VictoriaMetrics' pages, whose arguments may stand behind the #.
const linked = ({ search, hash }) => {
  const all = new URLSearchParams(`${search.slice(1)}&${hash.split("?")[1] || ""}`);
  const first = (...names) => names.map((name) => all.get(name)).find((value) => value) || "";
  const [query, range] = [first("query", "g0.expr"), first("g0.range_input")];
  return { query, range, end: first("g0.end_input"), step: first("g0.step_input") };
};

const get = async (path, params) => {
  const answer = await fetch(`${base}${path}?${new URLSearchParams(params)}`);
  const body = await answer.json();
  if (body.status !== "success") throw new Error(body.error || answer.statusText);
  return body.data;
};

const element = (name, text) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
};

const drawn = (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

const nameOf = ({ __name__: name = "", ...labels }) =>
  `${name}{${Object.entries(labels).map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(", ")}}`;

const graph = (series, start, end, step) => {
  const values = series.flatMap((one) => one.values.map(([, value]) => Number(value))).filter(Number.isFinite);
  let low = Math.min(0, ...values.slice(0, 1));
  let high = low;
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low === high) high = low + 1;
  const x = (time) => left + ((time - start) / (end - start)) * (width - left);
  const y = (value) => (height - bottom) * (1 - (value - low) / (high - low)) + 5;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
  for (let part = 0; part <= 4; part += 1) {
    const value = low + ((high - low) * part) / 4;
    svg.append(drawn("line", { x1: left, x2: width, y1: y(value), y2: y(value) }));
    const label = drawn("text", { x: 0, y: y(value) + 4 });
    label.textContent = Number(value.toPrecision(4));
    const time = start + ((end - start) * part) / 5;
    const below = drawn("text", { x: x(time), y: height - 2 });
    below.textContent = shownTime(time);
    svg.append(label, below);
  }
  series.forEach((one, at) => {
    let path = "";
    let last = -Infinity;
    for (const [time, text] of one.values) {
      const value = Number(text);
      if (!Number.isFinite(value)) continue;
      path += `${time - last > 1.5 * step ? "M" : "L"}${x(time).toFixed(1)},${y(value).toFixed(1)}`;
      last = time;
    }
    svg.append(drawn("path", { d: path, stroke: colors[at % colors.length] }));
  });
  return svg;
};

const legend = (series) => {
  const list = element("div");
  list.className = "legend";
  series.forEach((one, at) => {
    const line = element("div", nameOf(one.metric));
    line.style.color = colors[at % colors.length];
    list.append(line);
  });
  return list;
};

const table = (result) => {
  const made = element("table");
  for (const { metric, value } of result) {
    const row = element("tr");
    row.append(element("td", nameOf(metric)), element("td", value[1]), element("td", shownTime(value[0])));
    made.append(row);
  }
  return made;
};

const panel = async (title, queries, asTable) => {
  const section = element("section");
  if (title) section.append(element("h2", title));
  byId("panels").append(section);
  try {
    const end = moment(byId("end").value);
    const range = seconds(byId("range").value || "1h");
    const step = byId("step").value ? seconds(byId("step").value) : Math.max(1, Math.ceil(range / 300));
    const ask = (query) =>
      asTable
        ? get("/api/v1/query", { query, time: end, step })
        : get("/api/v1/query_range", { query, start: end - range, end, step });
    const answers = await Promise.all(queries.map(ask));
    const result = answers.flatMap((answer) => answer.result);
    if (asTable) section.append(table(result));
    else section.append(graph(result, end - range, end, step), legend(result));
  } catch (why) {
    const said = element("p", String(why.message || why));
    said.className = "error";
    section.append(said);
  }
};

const refresh = (event) => {
  event?.preventDefault();
  byId("panels").replaceChildren();
  const asTable = document.querySelector("input[name=view]:checked").value === "table";
  const chosen = dashboards[byId("dashboard").value];
  if (!chosen) {
    const query = byId("query").value.trim();
    history.replaceState(null, "", `?${new URLSearchParams({ query })}`);
    if (query) panel("", [query], asTable);
    return;
  }
  for (const row of chosen.rows || []) {
    for (const one of row.panels || []) panel(one.title || row.title, one.expr || [], asTable);
  }
};

const begin = async () => {
  zone = (await (await fetch("timezone")).json()).timezone;
  byId("zone").textContent = zone;
  dashboards = (await (await fetch("custom-dashboards")).json()).dashboardsSettings;
  dashboards.forEach((dashboard, at) => {
    const option = element("option", dashboard.title || dashboard.filename || `dashboard ${at + 1}`);
    option.value = at;
    byId("dashboard").append(option);
  });
  byId("dashboard").hidden = !dashboards.length;
  for (const [name, value] of Object.entries(linked(location))) if (value) byId(name).value = value;
  byId("ask").addEventListener("submit", refresh);
  byId("dashboard").addEventListener("change", refresh);
  document.querySelectorAll("input[name=view]").forEach((view) => view.addEventListener("change", refresh));
  refresh();
};

begin();
