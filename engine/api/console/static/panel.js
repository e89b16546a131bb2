// The panel: all there is to know of one step, its attempts, its items or the edges of its stream.

import { stepActions } from "./actions.js";
import { at, get, query } from "./api.js";
import { fill, h, link } from "./dom.js";
import { bytes, count, duration, exact, moment, short } from "./format.js";
import { ItemList } from "./items.js";
import { payload } from "./payloads.js";
import { badge, icon, word } from "./status.js";

const AGAIN_MS = 700;

export class Panel {
  constructor(page) {
    this.page = page;
    this.path = null;
    this.event = 0;
    this.element = h("aside", {
      class: "panel",
      "aria-label": "The chosen step",
      hidden: true,
      tabindex: "-1",
    });
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  open(path, event = 0) {
    this.path = path;
    this.event = event;
    this.place = this.page.picture.shapes.find((each) => each.path === path) ?? {
      name: path,
      kind: "",
      label: "",
    };
    this.items = null;
    this.seen = "";
    this.state = h("span");
    this.actions = h("div", { class: "buttons" });
    this.edges = h("div");
    this.list = h("div");
    this.body = h("div", { class: "visits" }, h("p", { class: "empty" }, "Loading…"));
    this.element.hidden = false;
    fill(
      this.element,
      h(
        "div",
        { class: "panel-head" },
        h(
          "div",
          {},
          h("h2", {}, this.place.name),
          h(
            "p",
            { class: "note" },
            [this.place.kind, this.place.label].filter((t, n, all) => t && all.indexOf(t) === n).join(" · "),
          ),
        ),
        this.state,
        h(
          "button",
          { type: "button", class: "quiet icon", "aria-label": "Close", onclick: () => this.close() },
          "✕",
        ),
      ),
      this.actions,
      this.edges,
      this.list,
      this.body,
    );
    this.update(this.page.snapshot);
    this.element.focus({ preventScroll: true });
    if (matchMedia("(max-width: 900px)").matches)
      this.element.scrollIntoView({ block: "start", behavior: "smooth" });
  }

  close() {
    this.element.hidden = true;
    const path = this.path;
    this.path = null;
    this.page.graph.pick(null);
    this.page.graph.nodes.get(path)?.element.focus?.();
  }

  update(snapshot) {
    if (this.path === null) return;
    const step = snapshot.steps[this.path];
    const text = JSON.stringify([step, snapshot.execution.status]);
    if (text === this.seen) return;
    this.seen = text;
    fill(this.state, badge(step?.state ?? "idle"));
    const buttons = stepActions(this.page, this.path, step);
    if (
      buttons.map((each) => each.textContent).join() !==
        [...this.actions.children].map((each) => each.textContent).join() ||
      !this.actions.contains(document.activeElement)
    )
      fill(this.actions, buttons);
    fill(this.edges, step?.edges?.length ? edgeTable(step.edges) : null);
    if (this.place.kind === "foreach" && step) this.showItems(step);
    if (step) this.loadSoon();
    else fill(this.body, h("p", { class: "empty" }, "This step has not been entered."));
  }

  showItems(step) {
    if (this.items === null) {
      this.items = new ItemList(this.page, this.path, this.event);
      fill(this.list, this.items.element);
    }
    this.items.update(step);
  }

  /** At most so often: a step in a quick loop changes with every event. */
  loadSoon() {
    if (this.timer) return;
    const wait =
      this.loadedAt && this.loaded === this.path ? Math.max(0, this.loadedAt + AGAIN_MS - Date.now()) : 0;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.load();
    }, wait);
  }

  async load() {
    const { path, event, page } = this;
    if (path === null) return;
    this.loadedAt = Date.now();
    this.loaded = path;
    try {
      const told = await get(
        `${page.data}/visits${query({ path, frame: page.frame, event: event || "" })}`,
        page.signal,
      );
      if (path === this.path && event === this.event) this.show(told);
    } catch (error) {
      if (!page.signal.aborted && path === this.path)
        fill(this.body, h("p", { class: "problem" }, error.message));
    }
  }

  show(visits) {
    const text = JSON.stringify(visits);
    if (text === this.shown && this.body.dataset.path === this.path) return;
    this.shown = text;
    this.body.dataset.path = this.path;
    const chosen = visits.find((each) => each.attempts) ?? visits[0];
    if (!chosen) return;
    fill(this.body, visits.length > 1 ? this.choice(visits, chosen) : null, this.visit(chosen));
  }

  choice(visits, chosen) {
    const select = h(
      "select",
      {
        id: "visit",
        onchange: (event) => {
          this.event = Number(event.target.value);
          this.load();
        },
      },
      visits.map((each, n) =>
        h(
          "option",
          { value: each.event },
          `visit ${visits.length - n}: ${word(each.state)}, ${moment(each.began)}`,
        ),
      ),
    );
    select.value = String(chosen.event);
    return h("div", { class: "field inline" }, h("label", { for: "visit" }, "Visit"), select);
  }

  visit(visit) {
    const end = visit.ended ?? Date.now() / 1000;
    const inner = visit.child
      ? h(
          "p",
          {},
          "Sub-flow: ",
          link(
            `/console/executions${at(visit.child[0], visit.child[1])}`,
            {},
            `${visit.child[0]} / ${visit.child[1]}`,
          ),
        )
      : null;
    const where = visit.opened ? h("p", { class: "note" }, placesOf(visit.opened)) : null;
    const tries = visit.attempts ?? [];
    return [
      h(
        "dl",
        { class: "facts-list" },
        fact("Began", h("span", { title: exact(visit.began) }, moment(visit.began))),
        fact(visit.ended ? "Took" : "For", duration(end - visit.began)),
        visit.frame !== this.page.frame ? fact("Frame", h("code", {}, visit.frame)) : null,
        visit.by ? fact("By", visit.by) : null,
      ),
      inner,
      where,
      tries.length
        ? h(
            "section",
            {},
            h("h3", {}, tries.length > 1 ? "Attempts" : "Attempt"),
            h(
              "ol",
              { class: "attempts" },
              tries.toReversed().map((each, n) => attempt(each, n === 0, visit)),
            ),
          )
        : null,
      !tries.length && visit.error ? failure(visit) : null,
      payload("Input", visit.input),
      payload("Output", visit.output),
    ];
  }
}

function fact(name, value) {
  return [h("dt", {}, name), h("dd", {}, value)];
}

function failure(told) {
  return h(
    "div",
    { class: "failure" },
    h("strong", {}, told.error),
    told.cause ? h("pre", {}, told.cause) : null,
  );
}

function attempt(told, open, visit) {
  const state = told.error
    ? "failed"
    : told.ended
      ? "succeeded"
      : open && visit.state !== "running"
        ? visit.state
        : told.started
          ? "running"
          : "waiting";
  const from = told.started ?? told.scheduled;
  const took = told.ended
    ? duration(told.ended - from)
    : told.started
      ? word(state)
      : told.delay_s
        ? `in ${duration(told.delay_s)}`
        : "waits for a worker";
  return h(
    "li",
    {},
    h(
      "details",
      { open },
      h(
        "summary",
        {},
        icon(state),
        h("span", { class: "visually-hidden" }, word(state)),
        ` ${told.number} `,
        told.error ? h("strong", {}, short(told.error, 40)) : null,
        h("span", { class: "number" }, took),
      ),
      h(
        "p",
        { class: "note" },
        [moment(from), told.worker ? `on ${told.worker}` : ""].filter(Boolean).join(" · "),
      ),
      told.error ? failure(told) : null,
      payload("Got", told.input),
      payload("Gave", told.output),
    ),
  );
}

function placesOf(opened) {
  const places = (opened.segments ?? []).map(
    (each) => `${(each.stages ?? []).join(" + ")} on ${each.worker ?? "?"} (${each.pid ?? "?"})`,
  );
  return [places.join("; "), opened.why].filter(Boolean).join(" – ");
}

function edgeTable(edges) {
  const cell = (edge, name, show) =>
    h("td", { class: "number" }, edge[name] === undefined || edge[name] === null ? "–" : show(edge[name]));
  // Of an open stream chunks and bytes are known; takeovers are rare.
  const all = [
    ["chunks", "Chunks", count],
    ["bytes", "Bytes", bytes],
    ["first_byte_s", "First byte", duration],
    ["blocked_s", "Held", duration],
    ["takeovers", "Taken over", count],
  ];
  const columns = all.filter(([name]) =>
    edges.some((edge) => (name === "takeovers" ? edge[name] : edge[name] !== undefined)),
  );
  return h(
    "section",
    {},
    h("h3", {}, "Edges"),
    h(
      "div",
      { class: "sheet" },
      h(
        "table",
        { class: "list edges" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Edge", ...columns.map(([, title]) => title)].map((name) => h("th", { scope: "col" }, name)),
          ),
        ),
        h(
          "tbody",
          {},
          edges.map((edge) =>
            h(
              "tr",
              {},
              h("td", { title: edge.across ? "between two processes" : "" }, `${edge.from} → ${edge.to}`),
              columns.map(([name, , show]) => cell(edge, name, show)),
            ),
          ),
        ),
      ),
    ),
  );
}
