// Items of a foreach: counters, and a page of them; never all.

import { at, get, query } from "./api.js";
import { fill, h, link } from "./dom.js";
import { count, duration, short } from "./format.js";
import { icon, word } from "./status.js";

const LIMIT = 25;
const AGAIN_MS = 1500;

export class ItemList {
  constructor(page, path, event) {
    Object.assign(this, { page, path, event });
    this.failed = false;
    this.firsts = [0];
    this.figures = h("p", { class: "figures" });
    this.tabs = h(
      "div",
      { class: "chips", role: "group", "aria-label": "Which items" },
      this.tab("All", false),
      this.tab("Failed and waiting", true),
    );
    this.jump = h("input", {
      type: "number",
      min: "0",
      "aria-label": "Go to item number",
      placeholder: "item…",
      onchange: (event) => this.to(Number(event.target.value)),
    });
    this.rows = h("ol", { class: "items" });
    this.foot = h("div", { class: "pager" });
    this.element = h(
      "section",
      {},
      h("h3", {}, "Items"),
      this.figures,
      h("div", { class: "item-tools" }, this.tabs, this.jump),
      this.rows,
      this.foot,
    );
  }

  tab(text, failed) {
    return h(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": String(failed === this.failed),
        onclick: () => {
          this.failed = failed;
          [...this.tabs.children].forEach((each, n) =>
            each.setAttribute("aria-pressed", String((n === 1) === failed)),
          );
          this.firsts = [0];
          this.load();
        },
      },
      text,
    );
  }

  to(first) {
    this.firsts = [0, Math.max(0, first)];
    this.load();
  }

  update(step) {
    const items = step.items ?? {};
    const parts = [
      ["succeeded", items.succeeded],
      ["failed", items.failed],
      ["running", items.running],
    ];
    const begun = parts.reduce((sum, [, number]) => sum + (number ?? 0), 0);
    if (items.succeeded !== undefined) parts.push(["pending", Math.max(0, items.total - begun)]);
    fill(
      this.figures,
      parts
        .filter(([, number]) => number)
        .map(([state, number]) =>
          h("span", { class: `s-${state}` }, icon(state), `${count(number)} ${word(state)}`),
        ),
    );
    if (this.timer) return;
    const wait = this.loadedAt ? Math.max(0, this.loadedAt + AGAIN_MS - Date.now()) : 0;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.load();
    }, wait);
  }

  async load() {
    const { page, path, event, failed } = this;
    const first = this.firsts.at(-1);
    this.loadedAt = Date.now();
    try {
      const wanted = { path, frame: page.frame, event: event || "", first, limit: LIMIT, failed: failed || "" };
      const told = await get(`${page.data}/items${query(wanted)}`, page.signal);
      if (failed === this.failed && first === this.firsts.at(-1)) this.show(told, first);
    } catch (error) {
      if (!page.signal.aborted) fill(this.foot, h("span", { class: "problem" }, error.message));
    }
  }

  show(told, first) {
    const text = JSON.stringify(told);
    if (text !== this.text) {
      const focused = this.rows.contains(document.activeElement)
        ? document.activeElement.getAttribute("href")
        : null;
      fill(
        this.rows,
        told.items.map((each) => this.row(each)),
        told.items.length
          ? null
          : h(
              "li",
              { class: "empty" },
              this.failed
                ? told.next === null
                  ? "No item has failed."
                  : "None so far: there are more to look at."
                : "No items.",
            ),
      );
      if (focused) this.rows.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    }
    this.text = text;
    const last = told.items.at(-1)?.index;
    const range = this.failed
      ? told.total === null
        ? ""
        : `${count(told.total)} in all`
      : told.items.length
        ? `${count(told.items[0].index)}–${count(last)} of ${count(told.total)}`
        : "";
    fill(
      this.foot,
      h(
        "button",
        {
          type: "button",
          disabled: this.firsts.length < 2,
          onclick: () => {
            this.firsts.pop();
            this.load();
          },
        },
        "Back",
      ),
      h("span", { class: "number" }, range),
      h(
        "button",
        {
          type: "button",
          disabled: told.next === null,
          onclick: () => {
            this.firsts.push(told.next);
            this.load();
          },
        },
        "More",
      ),
    );
    if (first !== this.firsts.at(-1)) this.load();
  }

  row(item) {
    const href = `/console/executions${at(this.page.flow, this.page.name)}${query({ frame: item.frame })}`;
    const took = item.began === null ? "" : duration((item.ended ?? Date.now() / 1000) - item.began);
    const shown = item.last_event ? link(href, {}, `#${item.index}`) : h("span", {}, `#${item.index}`);
    return h(
      "li",
      { class: `s-${item.state}` },
      icon(item.state),
      h("span", { class: "visually-hidden" }, word(item.state)),
      shown,
      h(
        "span",
        { class: "what", title: item.cause },
        item.error
          ? short(`${item.error} ${item.cause}`, 60)
          : item.state === "running"
            ? `at ${item.step}`
            : item.state === "earlier"
              ? "earlier, or kept from before a redrive"
              : "",
      ),
      h("span", { class: "number" }, took),
    );
  }
}
