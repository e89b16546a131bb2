// Schedules: when flows start by themselves.

import { at, get, may, patch, post } from "./api.js";
import { fill, h, link, notice } from "./dom.js";
import { exact, moment, short } from "./format.js";
import { badge } from "./status.js";

export async function schedulesView(context) {
  document.title = "Schedules – Penstock";
  const { main, caller, signal } = context;
  const body = h("tbody");
  const load = async () => {
    const told = await get("/v1/schedules", signal);
    fill(
      body,
      told.schedules.length
        ? told.schedules.map((each) => row(each, caller, load))
        : h("tr", {}, h("td", { colspan: 7, class: "empty" }, "No flow has a schedule.")),
    );
  };
  fill(
    main,
    h("div", { class: "head" }, h("h1", {}, "Schedules")),
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
            ["", "Schedule", "Flow", "When", "Next", "Last", ""].map((name) =>
              h("th", { scope: "col" }, name),
            ),
          ),
        ),
        body,
      ),
    ),
  );
  await load();
}

function row(schedule, caller, load) {
  const last = schedule.last_execution
    ? link(
        `/console/executions${at(schedule.flow_name, schedule.last_execution)}`,
        { title: schedule.last_execution },
        moment(schedule.last_time),
      )
    : moment(schedule.last_time);
  return h(
    "tr",
    {},
    h("td", {}, schedule.enabled ? badge("succeeded", "on") : badge("paused")),
    h("td", { class: "name", title: schedule.description }, schedule.name),
    h(
      "td",
      { "data-label": "Flow" },
      link(`/console/flows${at(schedule.flow_name)}`, {}, schedule.flow_name),
    ),
    h(
      "td",
      { "data-label": "When" },
      h("code", {}, schedule.cron),
      schedule.time_zone !== "UTC" ? h("small", {}, ` ${schedule.time_zone}`) : null,
    ),
    h(
      "td",
      { class: "number", "data-label": "Next", title: exact(schedule.next_time) },
      schedule.enabled ? moment(schedule.next_time) : "–",
    ),
    h(
      "td",
      { class: "number", "data-label": "Last" },
      last,
      schedule.last_error
        ? h("div", { class: "error", title: schedule.last_error }, short(schedule.last_error, 40))
        : null,
    ),
    h("td", { class: "buttons" }, may(caller, "operator") ? buttons(schedule, load) : null),
  );
}

function buttons(schedule, load) {
  const path = `/v1${at("flows", schedule.flow_name, "schedules", schedule.name)}`;
  const act = (work, done) => async () => {
    try {
      await work();
      notice(done);
      await load();
    } catch (error) {
      notice(error.message, "error");
    }
  };
  const named = (text) => ({ "aria-label": `${text} ${schedule.name}` });
  return [
    h(
      "button",
      {
        type: "button",
        class: "small",
        ...named("Trigger"),
        onclick: act(() => post(`${path}:trigger`), "Started"),
      },
      "Trigger now",
    ),
    schedule.enabled
      ? h(
          "button",
          {
            type: "button",
            class: "small",
            ...named("Pause"),
            onclick: act(() => patch(path, { enabled: false }), "Paused"),
          },
          "Pause",
        )
      : h(
          "button",
          {
            type: "button",
            class: "small",
            ...named("Resume"),
            onclick: act(() => patch(path, { enabled: true }), "Resumed"),
          },
          "Resume",
        ),
  ];
}
