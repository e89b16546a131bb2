// Executions: a page of those that the filters leave, newest first, kept fresh while it is looked at.

import { get, query } from "./api.js";
import { fill, h, link } from "./dom.js";
import { duration, exact, moment, seconds, short } from "./format.js";
import { badge, icon, stateOf, word } from "./status.js";

const STATUSES = ["Running", "Paused", "Succeeded", "Failed", "TimedOut", "Stopped"];
const SPANS = [
  ["", "any time"],
  ["3600", "last hour"],
  ["86400", "last 24 hours"],
  ["604800", "last 7 days"],
];
const LIMIT = 50;
const FRESH_MS = 3000;
const TYPING_MS = 250;

export async function executionsView({ main, signal, query: given, go }) {
  document.title = "Executions – Penstock";
  const filters = {
    flow: given.get("flow") ?? "",
    status: given.getAll("status"),
    prefix: given.get("name") ?? "",
    span: given.get("within") ?? "",
    cursor: given.get("cursor") ?? "",
  };
  const body = h("tbody");
  const foot = h("div", { class: "pager" });
  const flows = await flowNames(signal);
  fill(
    main,
    h("div", { class: "head" }, h("h1", {}, "Executions"), h("span", { class: "fresh", id: "fresh" })),
    filterBar(filters, flows, (changes) => go(address({ ...filters, cursor: "", ...changes }), true)),
    h(
      "div",
      { class: "sheet" },
      h(
        "table",
        { class: "list cards executions" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Status", "Execution", "Flow", "Started", "Duration", "Error"].map((name) =>
              h("th", { scope: "col" }, name),
            ),
          ),
        ),
        body,
      ),
    ),
    foot,
  );
  focusAgain();
  let last = "";
  const load = async () => {
    const page = await get(`/v1/executions${query(wanted(filters))}`, signal);
    const text = JSON.stringify(page);
    const lasting = page.executions.some((each) => !each.stopped_time);
    if (text !== last || lasting) showPage(page);
    last = text;
  };
  const showPage = (page) => {
    const focused = body.contains(document.activeElement)
      ? document.activeElement.getAttribute("href")
      : null;
    fill(body, page.executions.length ? page.executions.map(row) : emptyRow(filters, page.next_cursor));
    fill(
      foot,
      filters.cursor ? link(address({ ...filters, cursor: "" }), { class: "button" }, "Newest") : h("span"),
      page.next_cursor
        ? link(address({ ...filters, cursor: page.next_cursor }), { class: "button" }, "Older")
        : h("span"),
    );
    if (focused) body.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  };
  await load();
  if (!filters.cursor) keepFresh(load, signal);
}

/** Loads again and again, but not for a page that nobody sees. */
function keepFresh(load, signal) {
  const mark = document.getElementById("fresh");
  fill(mark, h("span", { class: "pulse" }), "live");
  const timer = setInterval(async () => {
    if (document.hidden) return;
    try {
      await load();
      mark.classList.remove("lost");
    } catch {
      mark.classList.add("lost");
    }
  }, FRESH_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function wanted(filters) {
  const from = filters.span ? new Date(Date.now() - Number(filters.span) * 1000).toISOString() : "";
  return {
    flow: filters.flow,
    status: filters.status,
    name_prefix: filters.prefix,
    started_from: from,
    cursor: filters.cursor,
    limit: LIMIT,
  };
}

function address(filters) {
  const { flow, status, prefix: name, span: within, cursor } = filters;
  return `/console/${query({ flow, status, name, within, cursor })}`;
}

export async function flowNames(signal) {
  const page = await get("/v1/flows?limit=200", signal);
  return page.flows.map((flow) => flow.name);
}

let typed = null;

function filterBar(filters, flows, change) {
  const flow = h(
    "select",
    { id: "filter-flow", onchange: (event) => change({ flow: event.target.value }) },
    h("option", { value: "" }, "all flows"),
    flows.map((name) => h("option", { value: name }, name)),
  );
  if (filters.flow && !flows.includes(filters.flow))
    flow.append(h("option", { value: filters.flow }, filters.flow));
  flow.value = filters.flow;
  const span = h(
    "select",
    { id: "filter-span", onchange: (event) => change({ span: event.target.value }) },
    SPANS.map(([value, text]) => h("option", { value }, text)),
  );
  span.value = filters.span;
  let timer = 0;
  const name = h("input", {
    id: "filter-name",
    type: "search",
    placeholder: "name begins with…",
    value: filters.prefix,
    spellcheck: "false",
    oninput: (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        typed = event.target.selectionStart;
        change({ prefix: event.target.value.trim() });
      }, TYPING_MS);
    },
  });
  const toggle = (status) =>
    filters.status.includes(status)
      ? filters.status.filter((each) => each !== status)
      : [...filters.status, status];
  return h(
    "form",
    {
      class: "filters",
      role: "search",
      "aria-label": "Filter executions",
      onsubmit: (event) => event.preventDefault(),
    },
    h("label", { class: "visually-hidden", for: "filter-flow" }, "Flow"),
    flow,
    h("label", { class: "visually-hidden", for: "filter-name" }, "Name"),
    name,
    h("label", { class: "visually-hidden", for: "filter-span" }, "Started"),
    span,
    h(
      "div",
      { class: "chips", role: "group", "aria-label": "Status" },
      STATUSES.map((status) =>
        h(
          "button",
          {
            type: "button",
            class: `chip s-${stateOf(status)}`,
            "aria-pressed": filters.status.includes(status) ? "true" : "false",
            onclick: () => change({ status: toggle(status) }),
          },
          icon(stateOf(status)),
          word(stateOf(status)),
        ),
      ),
    ),
  );
}

/** Who typed a filter goes on typing where they were. */
function focusAgain() {
  if (typed === null) return;
  const name = document.getElementById("filter-name");
  name.focus();
  name.setSelectionRange(typed, typed);
  typed = null;
}

function row(execution) {
  const href = `/console/executions/${encodeURIComponent(execution.flow_name)}/${encodeURIComponent(execution.name)}`;
  const end = execution.stopped_time ? seconds(execution.stopped_time) : Date.now() / 1000;
  return h(
    "tr",
    {},
    h("td", {}, badge(execution.status)),
    h("td", { class: "name" }, link(href, { title: execution.name }, execution.name)),
    h(
      "td",
      { "data-label": "Flow" },
      execution.flow_name,
      execution.version ? h("span", { class: "version" }, `v${execution.version}`) : null,
    ),
    h(
      "td",
      { class: "number", "data-label": "Started", title: exact(execution.started_time) },
      moment(execution.started_time),
    ),
    h("td", { class: "number", "data-label": "Duration" }, duration(end - seconds(execution.started_time))),
    h("td", { class: "error", title: execution.error ?? "" }, short(execution.error ?? "", 48)),
  );
}

function emptyRow(filters, more) {
  const any = filters.flow || filters.status.length || filters.prefix || filters.span || filters.cursor;
  const text = more
    ? "None among those looked at so far; older ones may fit."
    : any
      ? "No execution fits these filters."
      : "Nothing has been started yet. Start one with: penstock start FLOW";
  return h("tr", { class: "none" }, h("td", { colspan: 6, class: "empty" }, text));
}
