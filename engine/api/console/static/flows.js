// Flows: what is deployed, its versions, and what differs between two of them.

import { start } from "./actions.js";
import { at, get, may, query } from "./api.js";
import { fill, h, link } from "./dom.js";
import { exact, moment } from "./format.js";
import { Graph } from "./graph.js";
import { payload } from "./payloads.js";

const LIMIT = 100;

export async function flowsView({ main, signal, query: given }) {
  document.title = "Flows – Penstock";
  const cursor = given.get("cursor") ?? "";
  const page = await get(`/v1/flows${query({ limit: LIMIT, cursor })}`, signal);
  const rows = page.flows.map((flow) =>
    h(
      "tr",
      {},
      h("td", { class: "name" }, link(`/console/flows${at(flow.name)}`, {}, flow.name)),
      h("td", {}, flow.description),
      h("td", { class: "number", "data-label": "Revision" }, String(flow.version)),
      h(
        "td",
        { class: "number", "data-label": "Changed", title: exact(flow.last_modified_time) },
        moment(flow.last_modified_time),
      ),
      h("td", {}, link(`/console/${query({ flow: flow.name })}`, {}, "executions")),
    ),
  );
  fill(
    main,
    h("div", { class: "head" }, h("h1", {}, "Flows")),
    h(
      "div",
      { class: "sheet" },
      h(
        "table",
        { class: "list cards" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Flow", "Description", "Revision", "Changed", ""].map((name) => h("th", { scope: "col" }, name)),
          ),
        ),
        h(
          "tbody",
          {},
          rows.length
            ? rows
            : h(
                "tr",
                {},
                h(
                  "td",
                  { colspan: 5, class: "empty" },
                  "No flow is deployed yet. Deploy one with: penstock flow create FLOW.yml",
                ),
              ),
        ),
      ),
    ),
    h(
      "div",
      { class: "pager" },
      h("span"),
      page.next_cursor
        ? link(`/console/flows${query({ cursor: page.next_cursor })}`, { class: "button" }, "More")
        : null,
    ),
  );
}

export async function flowView({ main, caller, signal, parts: [name], query: given, go }) {
  document.title = `${name} – Penstock`;
  const [flow, picture, told, aliases] = await Promise.all([
    get(`/v1/flows${at(name)}`, signal),
    get(`/console/data/flows${at(name)}/picture`, signal),
    get(`/v1/flows${at(name)}/versions`, signal),
    get(`/v1/flows${at(name)}/aliases`, signal),
  ]);
  const versions = told.versions;
  const body = h("div");
  const graph = new Graph(picture);
  const old = given.get("old") ?? (versions[0] ? String(versions[0].version) : "");
  const now = given.get("new") ?? "now";
  fill(
    main,
    h("nav", { class: "crumbs", "aria-label": "Where this is" }, link("/console/flows", {}, "Flows")),
    h(
      "div",
      { class: "head" },
      h("h1", {}, name),
      h(
        "div",
        { class: "buttons" },
        link(`/console/${query({ flow: name })}`, { class: "button" }, "Executions"),
        may(caller, "operator")
          ? h("button", { type: "button", class: "primary", onclick: () => start(name, go) }, "Start…")
          : null,
      ),
    ),
    flow.description ? h("p", {}, flow.description) : null,
    h(
      "p",
      { class: "facts" },
      h("span", {}, h("small", {}, "revision"), String(flow.version)),
      h("span", {}, h("small", {}, "changed"), moment(flow.last_modified_time)),
      h("span", {}, h("small", {}, "published versions"), String(versions.length)),
    ),
    aliases.aliases.length
      ? h(
          "p",
          { class: "facts" },
          aliases.aliases.map((alias) =>
            h(
              "span",
              {},
              h("small", {}, alias.name),
              alias.routing.map((route) => `v${route.version} ${route.weight} %`).join(", "),
            ),
          ),
        )
      : null,
    versions.length ? comparison(name, versions, old, now, go) : null,
    body,
    h(
      "div",
      { class: "halves" },
      h("section", {}, h("h3", {}, "Steps"), graph.element),
      h(
        "section",
        {},
        payload("Definition, as it is deployed", { text: flow.definition, letters: flow.definition.length }),
      ),
    ),
  );
  graph.fit();
  if (versions.length) await showDifferences(body, name, old, now, signal);
}

function comparison(name, versions, old, now, go) {
  const options = [
    ["now", "as it is deployed"],
    ...versions.map((each) => [
      String(each.version),
      `version ${each.version}${each.description ? ` – ${each.description}` : ""}`,
    ]),
  ];
  const select = (id, label, value) => {
    const element = h(
      "select",
      {
        id,
        onchange: () => {
          const [older, newer] = ["old", "new"].map((each) => document.getElementById(each).value);
          go(`/console/flows${at(name)}${query({ old: older, new: newer })}`, true);
        },
      },
      options.map(([each, text]) => h("option", { value: each }, text)),
    );
    element.value = value;
    return [h("label", { for: id }, label), element];
  };
  return h(
    "div",
    { class: "filters compare" },
    h("h2", {}, "Compare"),
    select("old", "from", old),
    select("new", "to", now),
  );
}

async function showDifferences(place, name, old, now, signal) {
  const rows = await get(`/console/data/flows${at(name)}/differences${query({ old, new: now })}`, signal);
  if (!rows.length) {
    fill(place, h("p", { class: "note" }, "There is no difference."));
    return;
  }
  const signs = { same: " ", added: "+", removed: "−" };
  const words = { added: "added: ", removed: "removed: " };
  fill(
    place,
    h(
      "div",
      { class: "sheet" },
      h(
        "table",
        { class: "diff", "aria-label": "What differs" },
        h(
          "tbody",
          {},
          rows.map((row) =>
            row.kind === "gap"
              ? h("tr", { class: "gap" }, h("td", { colspan: 4 }, row.text || "⋯"))
              : h(
                  "tr",
                  { class: row.kind },
                  h("td", { class: "number" }, row.old ?? ""),
                  h("td", { class: "number" }, row.new ?? ""),
                  h("td", { class: "sign", "aria-hidden": "true" }, signs[row.kind]),
                  h(
                    "td",
                    {},
                    words[row.kind] ? h("span", { class: "visually-hidden" }, words[row.kind]) : null,
                    h("code", {}, row.text),
                  ),
                ),
          ),
        ),
      ),
    ),
  );
}
