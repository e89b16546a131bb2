// Events: the history, a page at a time; the last page grows.

import { get, query } from "./api.js";
import { fill, h } from "./dom.js";
import { clock, exact } from "./format.js";

const LIMIT = 50;
const AGAIN_MS = 700;

export class Events {
  constructor(page) {
    this.page = page;
    this.starts = [0];
    this.body = h("tbody");
    this.foot = h("div", { class: "pager" });
    this.element = h(
      "div",
      { class: "events" },
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
              ["#", "Time", "Event", "Step", "Frame", "Detail"].map((name) =>
                h("th", { scope: "col" }, name),
              ),
            ),
          ),
          this.body,
        ),
      ),
      this.foot,
    );
    this.load();
  }

  /** What is new comes to the end of a page that is not full; what was opened there stays open. */
  update() {
    if (this.timer || !this.shown || this.shown.length >= LIMIT) return;
    if (this.page.snapshot.execution.last_event <= this.last()) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.load(true);
    }, AGAIN_MS);
  }

  last() {
    return this.shown?.at(-1)?.event_id ?? this.starts.at(-1);
  }

  async load(more = false) {
    const start = this.starts.at(-1);
    const before = more ? this.shown : [];
    const after = more ? this.last() : start;
    try {
      const told = await get(
        `${this.page.rest}/history${query({ after, limit: LIMIT - before.length })}`,
        this.page.signal,
      );
      if (start === this.starts.at(-1)) this.show(before, told);
    } catch (error) {
      if (!this.page.signal.aborted) fill(this.foot, h("span", { class: "problem" }, error.message));
    }
  }

  show(before, told) {
    this.shown = [...before, ...told.events];
    if (!before.length) fill(this.body);
    this.body.append(...told.events.map(row));
    const go = (change) => () => {
      change();
      this.load();
    };
    fill(
      this.foot,
      h(
        "button",
        { type: "button", disabled: this.starts.length < 2, onclick: go(() => this.starts.pop()) },
        "Earlier",
      ),
      h(
        "span",
        { class: "number" },
        this.shown.length
          ? `${this.shown[0].event_id}–${this.last()} of ${this.page.snapshot.execution.last_event}`
          : "none",
      ),
      h(
        "button",
        {
          type: "button",
          disabled: told.next_after === null,
          onclick: go(() => this.starts.push(told.next_after)),
        },
        "Later",
      ),
    );
    this.update();
  }
}

function row(event) {
  const detail = JSON.stringify(event.detail);
  const whole = h(
    "details",
    {},
    h("summary", {}, h("code", {}, detail.length > 90 ? `${detail.slice(0, 90)}…` : detail)),
  );
  whole.addEventListener("toggle", () => {
    if (whole.open && whole.children.length === 1)
      whole.append(h("pre", { tabindex: "0" }, JSON.stringify(event.detail, null, 2)));
  });
  return h(
    "tr",
    {},
    h("td", { class: "number" }, String(event.event_id)),
    h("td", { class: "number", title: exact(event.time) }, clock(event.time)),
    h("td", {}, event.type),
    h("td", {}, event.step_name),
    h("td", {}, event.frame ? h("code", {}, event.frame) : null),
    h("td", { class: "wide" }, detail === "{}" ? "" : whole),
  );
}
