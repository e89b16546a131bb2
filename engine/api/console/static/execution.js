// One execution: its graph and timeline as it runs, what its steps got and gave, and what may be done.

import { actionsOf } from "./actions.js";
import { at, follow, get, query } from "./api.js";
import { fill, h, link } from "./dom.js";
import { Events } from "./events.js";
import { duration, exact, moment } from "./format.js";
import { Graph } from "./graph.js";
import { payload } from "./payloads.js";
import { Panel } from "./panel.js";
import { badge } from "./status.js";
import { Timeline } from "./timeline.js";

const TABS = [
  ["graph", "Graph"],
  ["timeline", "Timeline"],
  ["data", "Input & output"],
  ["events", "Events"],
];

const OPEN = ["running", "waiting", "retrying", "paused"];

export async function executionView(context) {
  const page = new ExecutionPage(context);
  await page.open();
}

class ExecutionPage {
  constructor({ main, caller, signal, parts, query: given, go }) {
    Object.assign(this, { main, caller, signal, go });
    [this.flow, this.name] = parts;
    this.frame = given.get("frame") ?? "";
    this.wanted = given.get("step");
    this.tab = TABS.some(([id]) => id === given.get("tab")) ? given.get("tab") : "graph";
    this.data = `/console/data${at("flows", this.flow, "executions", this.name)}`;
    this.rest = `/v1${at("flows", this.flow, "executions", this.name)}`;
    this.snapshot = null;
  }

  async open() {
    document.title = `${this.name} – ${this.flow} – Penstock`;
    const frame = query({ frame: this.frame });
    const [picture, snapshot] = await Promise.all([
      get(`${this.data}/picture${frame}`, this.signal),
      get(`${this.data}/snapshot${frame}`, this.signal),
    ]);
    this.picture = picture;
    this.graph = new Graph(picture, (path) => this.choose(path));
    this.timeline = new Timeline((path, event) => this.choose(path, event));
    this.panel = new Panel(this);
    this.build();
    this.take(snapshot);
    this.showTab(this.tab);
    if (this.wanted) this.choose(this.wanted);
    const clockTimer = setInterval(() => this.tick(), 500);
    const fitAgain = () => this.graph.fit();
    const lookAgain = () => this.lookAgain();
    addEventListener("resize", fitAgain);
    addEventListener("focus", lookAgain);
    this.signal.addEventListener("abort", () => {
      clearInterval(clockTimer);
      removeEventListener("resize", fitAgain);
      removeEventListener("focus", lookAgain);
    });
    this.watch();
  }

  /** Follows the execution; a redrive of one that has ended begins it anew. */
  watch() {
    const connected = (on) => this.live.classList.toggle("lost", !on);
    const path = `${this.data}/live${query({ frame: this.frame })}`;
    follow(
      path,
      (kind, snapshot) => kind === "snapshot" && this.take(snapshot),
      connected,
      this.signal,
    ).catch((error) => this.signal.aborted || fill(this.problem, error.message));
  }

  /** Somebody comes back to this page: what had ended may have been redriven elsewhere. */
  async lookAgain() {
    if (!this.snapshot.execution.ended) return;
    try {
      const snapshot = await get(`${this.data}/snapshot${query({ frame: this.frame })}`, this.signal);
      if (snapshot.execution.last_event === this.snapshot.execution.last_event) return;
      this.take(snapshot);
      if (!snapshot.execution.ended) this.watch();
    } catch {
      // it is looked at again the next time
    }
  }

  build() {
    this.badge = h("span");
    this.facts = h("p", { class: "facts" });
    this.live = h("span", { class: "fresh" }, h("span", { class: "pulse" }), "live");
    this.buttons = h("div", { class: "buttons" });
    this.problem = h("div", { class: "problem", role: "alert" });
    this.tabs = h(
      "div",
      { class: "tabs", role: "tablist", "aria-label": "Views of the execution" },
      TABS.map(([id, text]) =>
        h(
          "button",
          {
            type: "button",
            role: "tab",
            id: `tab-${id}`,
            "aria-controls": "tab-body",
            onclick: () => this.showTab(id),
            onkeydown: (event) => this.tabKey(event),
          },
          text,
        ),
      ),
    );
    this.body = h("div", { class: "tab-body", id: "tab-body", role: "tabpanel" });
    fill(
      this.main,
      h("nav", { class: "crumbs", "aria-label": "Where this is" }, this.crumbs()),
      h(
        "div",
        { class: "head" },
        h("h1", { title: this.name }, this.frame ? this.frame : this.name),
        this.badge,
        this.live,
        this.buttons,
      ),
      this.facts,
      this.problem,
      this.tabs,
      h("div", { class: "split" }, this.body, this.panel.element),
    );
  }

  crumbs() {
    const own = `/console/executions${at(this.flow, this.name)}`;
    const all = [link("/console/", {}, "Executions"), link(`/console/flows${at(this.flow)}`, {}, this.flow)];
    if (this.frame) {
      all.push(link(own, {}, this.name));
      const parts = this.frame.split("/");
      parts.slice(0, -1).forEach((_, n) => {
        const frame = parts.slice(0, n + 1).join("/");
        all.push(link(own + query({ frame }), {}, frame));
      });
    }
    return all.map((each, n) => [n ? h("span", { "aria-hidden": "true" }, "/") : null, each]);
  }

  take(snapshot) {
    const before = this.snapshot;
    this.snapshot = snapshot;
    const { execution } = snapshot;
    this.graph.update(snapshot);
    this.timeline.update(snapshot);
    this.panel.update(snapshot);
    this.events?.update();
    if (before?.state !== snapshot.state) fill(this.badge, badge(snapshot.state));
    if (before?.execution.status !== execution.status) {
      fill(this.buttons, actionsOf(this));
      this.live.hidden = execution.ended;
    }
    if (this.tab === "data" && before && before.execution.status !== execution.status) this.showTab("data");
    fill(this.problem, execution.error ? [h("strong", {}, execution.error), " ", execution.cause ?? ""] : "");
    this.tick();
  }

  tick() {
    const { execution } = this.snapshot;
    const end = execution.stopped_time ?? Date.now() / 1000;
    const fact = (name, ...value) => h("span", {}, h("small", {}, name), ...value);
    const places = this.standsAt().join();
    const text = `${execution.status}${execution.redrives}${places}${execution.ended ? "" : Math.floor(end * 2)}`;
    if (text === this.factsText) return;
    this.factsText = text;
    const focused = this.facts.contains(document.activeElement) ? document.activeElement.dataset.at : null;
    const flower = this.caller.flower
      ? h(
          "a",
          {
            href: `${this.caller.flower}/task/${encodeURIComponent(`${this.flow}:${this.name}`)}`,
            rel: "noopener noreferrer",
          },
          "task",
        )
      : null;
    fill(
      this.facts,
      this.frame
        ? fact("execution", link(`/console/executions${at(this.flow, this.name)}`, {}, this.name))
        : null,
      fact("started", h("span", { title: exact(execution.started_time) }, moment(execution.started_time))),
      fact(
        execution.ended ? "took" : "for",
        h("span", { class: "number" }, duration(end - execution.started_time)),
      ),
      this.standing(fact),
      fact("events", h("span", { class: "number" }, String(execution.last_event))),
      execution.redrives ? fact("redriven", `${execution.redrives}×`) : null,
      flower ? fact("Flower", flower) : null,
    );
    if (focused) this.facts.querySelector(`[data-at="${CSS.escape(focused)}"]`)?.focus();
  }

  /** The steps that it stands at, or has failed at; not those that only hold such a step. */
  standsAt() {
    const wanted = new Set(this.snapshot.execution.ended ? ["failed"] : OPEN);
    const paths = Object.entries(this.snapshot.steps)
      .filter(([, step]) => wanted.has(step.state))
      .map(([path]) => path);
    return paths.filter((path) => !paths.some((other) => other.startsWith(`${path}/`)));
  }

  standing(fact) {
    const paths = this.standsAt();
    if (!paths.length) return null;
    const shown = paths
      .slice(0, 3)
      .map((path) =>
        h(
          "button",
          { type: "button", class: "go", "data-at": path, onclick: () => this.choose(path) },
          path.split("/").at(-1),
        ),
      );
    return fact(
      this.snapshot.execution.ended ? "failed at" : "at",
      ...shown,
      paths.length > 3 ? `and ${paths.length - 3} more` : null,
    );
  }

  showTab(id) {
    this.tab = id;
    for (const tab of this.tabs.children) {
      const chosen = tab.id === `tab-${id}`;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen) this.body.setAttribute("aria-labelledby", tab.id);
    }
    const shown = {
      graph: () => this.graph.element,
      timeline: () => this.timeline.element,
      data: () => this.dataTab(),
      events: () => (this.events = new Events(this)).element,
    };
    this.events = null;
    fill(this.body, shown[id]());
    if (id === "graph") this.graph.fit();
  }

  tabKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const place = TABS.findIndex(([id]) => id === this.tab);
    const [id] = TABS[(place + step + TABS.length) % TABS.length];
    this.showTab(id);
    document.getElementById(`tab-${id}`).focus();
  }

  dataTab() {
    const place = h("div", { class: "data" }, h("p", { class: "empty" }, "Loading…"));
    get(`${this.data}/payloads`, this.signal)
      .then((told) => {
        const version = told.version
          ? h(
              "p",
              { class: "note" },
              `Version ${told.version} of the flow${told.qualifier ? `, by ${told.qualifier}` : ""}`,
            )
          : null;
        fill(place, version, payload("Input", told.input), payload("Output", told.output));
      })
      .catch((error) => this.signal.aborted || fill(place, h("p", { class: "problem" }, error.message)));
    return place;
  }

  choose(path, event = 0) {
    this.graph.pick(path);
    this.graph.reveal(path);
    this.panel.open(path, event);
  }
}
