// The API: requests with the key, problems as errors, server-sent events over fetch.

import { askForKey } from "./dialogs.js";

const KEY = "penstock.key";
const NO_KEY = new Set(["Unauthorized", "InvalidAccessKeyID", "SignatureNotMatch"]);
const ROLES = ["viewer", "operator", "approver", "admin"];

let asking = null;
let who = null;

/** What the API answered in the place of what was asked for. */
export class Problem extends Error {
  constructor(status, code, detail) {
    super(detail || code);
    this.status = status;
    this.code = code;
  }
}

/** Who we are: {id, role, open, flower}. */
export async function me() {
  who ??= get("/console/data/me").catch((error) => {
    who = null;
    throw error;
  });
  return who;
}

export function may(caller, role) {
  return ROLES.indexOf(caller.role) >= ROLES.indexOf(role);
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
  who = null;
}

export const get = (path, signal) => request("GET", path, undefined, signal);
export const post = (path, body = {}) => request("POST", path, body);
export const patch = (path, body) => request("PATCH", path, body);

/** A path of parts that may hold any characters; a part that begins with ":" is a verb. */
export function at(...parts) {
  return parts.map((part) => (part.startsWith(":") ? part : `/${encodeURIComponent(part)}`)).join("");
}

/** A query of what is set. */
export function query(values) {
  const given = Object.entries(values).filter(
    ([, value]) => value !== "" && value !== null && value !== undefined,
  );
  const text = new URLSearchParams(
    given.flatMap(([name, value]) => [value].flat().map((v) => [name, v])),
  ).toString();
  return text ? `?${text}` : "";
}

async function request(method, path, body, signal) {
  const answer = await send(method, path, body, signal);
  if (answer.status === 204) return null;
  return answer.json();
}

/** The answer; for want of a good key one is asked for, until there is one. */
async function send(method, path, body, signal, accept = "application/json") {
  for (;;) {
    const used = sessionStorage.getItem(KEY);
    const headers = { Accept: accept };
    if (used) headers.Authorization = `Bearer ${used}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const answer = await fetch(path, {
      method,
      headers,
      signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (answer.ok) return answer;
    const problem = await problemOf(answer);
    if (!NO_KEY.has(problem.code)) throw problem;
    await newKey(used, problem);
  }
}

async function problemOf(answer) {
  const told = await answer.json().catch(() => ({}));
  return new Problem(answer.status, told.code ?? "", told.detail ?? `the server answered ${answer.status}`);
}

/** Asks once, however many requests wait for it. */
async function newKey(used, problem) {
  if (sessionStorage.getItem(KEY) !== used) return;
  asking ??= askForKey(used ? problem.message : "").finally(() => {
    asking = null;
  });
  const key = await asking;
  if (key === null) throw problem;
  sessionStorage.setItem(KEY, key);
  who = null;
}

/**
 * Follows server-sent events until `end` or the signal; comes again when the connection breaks.
 * `take(kind, data)` gets each event, `state` whether we are connected.
 */
export async function follow(path, take, state, signal) {
  for (let pause = 500; !signal.aborted; pause = Math.min(pause * 2, 8000)) {
    try {
      const answer = await send("GET", path, undefined, signal, "text/event-stream");
      state(true);
      pause = 500;
      if (await readEvents(answer.body, take)) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.status < 500 && error.status !== 429) throw error;
    }
    state(false);
    await rest(pause, signal);
  }
}

async function readEvents(stream, take) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return false;
    text += value;
    let cut;
    while ((cut = text.indexOf("\n\n")) >= 0) {
      const event = parse(text.slice(0, cut));
      text = text.slice(cut + 2);
      if (event.kind === "end") {
        await reader.cancel();
        return true;
      }
      if (event.data) take(event.kind, JSON.parse(event.data));
    }
  }
}

function parse(block) {
  const event = { kind: "message", data: "" };
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) event.kind = line.slice(7);
    else if (line.startsWith("data: ")) event.data += line.slice(6);
  }
  return event;
}

function rest(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
