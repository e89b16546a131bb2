// Actions: what may be done with an execution and its steps, by role and by what they are at.

import { at, may, post } from "./api.js";
import { h, notice } from "./dom.js";
import { ask, objectOf } from "./dialogs.js";

const REASON = { reason: { label: "Reason", placeholder: "kept in the history" } };

/** The buttons of an execution. */
export function actionsOf(page) {
  if (!may(page.caller, "operator")) return [];
  const { status, ended } = page.snapshot.execution;
  const button = (text, act, kind = "") => h("button", { type: "button", class: kind, onclick: act }, text);
  if (ended) return status === "Succeeded" ? [] : [button("Redrive…", () => redrive(page), "primary")];
  return [
    status === "Paused"
      ? button("Resume", () => act(page, "resume", {}, "Resumed"), "primary")
      : button("Pause…", () => pause(page)),
    button("Stop…", () => stop(page), "danger"),
  ];
}

/** The buttons of a step, as the panel shows it. */
export function stepActions(page, path, step) {
  const open =
    step &&
    !page.snapshot.execution.ended &&
    ["running", "waiting", "retrying", "paused", "failed"].includes(step.state);
  const ended = page.snapshot.execution.ended && page.snapshot.execution.status !== "Succeeded";
  const top = !page.frame && !path.includes("/");
  const button = (text, act, kind = "") => h("button", { type: "button", class: kind, onclick: act }, text);
  const all = [];
  if (
    step?.callback &&
    step.state === "waiting" &&
    !page.snapshot.execution.ended &&
    may(page.caller, "approver")
  ) {
    all.push(
      button("Approve…", () => decide(page, path, step, true), "primary"),
      button("Reject…", () => decide(page, path, step, false), "danger"),
    );
  }
  if (may(page.caller, "operator")) {
    if (open || (ended && ["failed", "aborted"].includes(step?.state)))
      all.push(button("Skip…", () => skip(page, path, step)));
    if (ended && top && step) all.push(button("Redrive from here…", () => redrive(page, path)));
  }
  return all;
}

async function act(page, verb, body, done) {
  try {
    await post(`${page.rest}:${verb}`, body);
    notice(done);
    if (page.snapshot.execution.ended) page.watch();
  } catch (error) {
    notice(error.message, "error");
  }
}

async function stop(page) {
  const given = await ask({
    title: "Stop this execution?",
    text: "Its running tasks are told to end, and what they still return is refused. A redrive can let it go on later.",
    fields: { cause: { label: "Cause", placeholder: "kept in the history" } },
    action: "Stop",
    danger: true,
  });
  if (given) await act(page, "stop", given.cause ? { cause: given.cause } : {}, "Stopped");
}

async function pause(page) {
  const given = await ask({
    title: "Pause this execution?",
    text: "What runs may end, and nothing new begins.",
    fields: { freeze_timers: { label: "Waits and time-outs stand still, too", type: "checkbox" }, ...REASON },
    action: "Pause",
  });
  if (given) await act(page, "pause", said(given), "Pausing");
}

async function redrive(page, from = null) {
  const steps =
    page.picture.series === ""
      ? page.picture.shapes.filter((each) => each.name && !each.path.includes("/"))
      : [];
  const given = await ask({
    title: from ? `Redrive from ${from}?` : "Redrive this execution?",
    text: "It goes on under the same name, with the same history. What has succeeded stays.",
    fields: {
      ...(from
        ? {}
        : {
            from_step: {
              label: "Begin",
              type: "select",
              options: [["", "where it ended"], ...steps.map((each) => [each.name, `at ${each.name}`])],
            },
          }),
      definition: {
        label: "Definition",
        type: "select",
        options: [
          ["same", "as it was started"],
          ["latest", "the newest"],
        ],
      },
      items: {
        label: "Items of a foreach",
        type: "select",
        options: [
          ["failed", "those that failed or never ran"],
          ["all", "all of them"],
        ],
      },
      ...REASON,
    },
    action: "Redrive",
  });
  if (given) await act(page, "redrive", said(from ? { ...given, from_step: from } : given), "Goes on");
}

async function skip(page, path, step) {
  const name = path.split("/").at(-1);
  const given = await ask({
    title: `Skip ${name}?`,
    text: "The step ends with this output, as if it were its own.",
    fields: { output: { label: "Output (JSON)", rows: 4, value: "{}" }, ...REASON },
    action: "Skip",
    check: (values) => ({ ...values, output: objectOf(values.output) }),
  });
  if (given) await act(page, "skip", said({ ...given, step: name, frame: step.frame }), "Skipped");
}

async function decide(page, path, step, approve) {
  const name = path.split("/").at(-1);
  const given = await ask(
    approve
      ? {
          title: "Approve?",
          text: `The step ${name} ends well with this output.`,
          fields: {
            comment: { label: "Comment" },
            output: { label: "Output (JSON)", rows: 4, value: '{"approved": true}' },
          },
          action: "Approve",
          check: (values) => ({
            output: { ...objectOf(values.output), ...(values.comment ? { comment: values.comment } : {}) },
          }),
        }
      : {
          title: "Reject?",
          text: `The step ${name} fails with the error Rejected.`,
          fields: { cause: { label: "Why", rows: 2 } },
          action: "Reject",
          danger: true,
        },
  );
  if (!given) return;
  try {
    await post(`${page.data}/decision`, {
      frame: step.frame,
      path,
      attempt: step.attempt ?? 1,
      approve,
      ...given,
    });
    notice(approve ? "Approved" : "Rejected");
  } catch (error) {
    notice(error.message, "error");
  }
}

/** Starts a flow, and goes to what it has started. */
export async function start(flow, go) {
  const given = await ask({
    title: `Start ${flow}`,
    fields: {
      name: { label: "Name", placeholder: "made up if empty" },
      input: { label: "Input (JSON)", rows: 6, value: "{}" },
    },
    action: "Start",
    check: (values) => ({ ...said({ name: values.name.trim() }), input: objectOf(values.input) }),
  });
  if (!given) return;
  try {
    const started = await post(`/v1${at("flows", flow, "executions")}`, given);
    go(`/console/executions${at(flow, started.name)}`);
  } catch (error) {
    notice(error.message, "error");
  }
}

/** What was filled in. */
function said(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "" && value !== null));
}
