// Times, durations, sizes and counts as people read them.

const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const DAY = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", year: "numeric" });
const COUNT = new Intl.NumberFormat("en-GB");

/** Seconds since the epoch of a number of them, or of a text of RFC 3339. */
export function seconds(time) {
  return typeof time === "number" ? time : Date.parse(time) / 1000;
}

export function clock(time) {
  return CLOCK.format(new Date(seconds(time) * 1000));
}

/** Date and time; of today the time alone. */
export function moment(time) {
  if (time === null || time === undefined) return "–";
  const date = new Date(seconds(time) * 1000);
  const day = DAY.format(date);
  return day === DAY.format(new Date()) ? CLOCK.format(date) : `${day}, ${CLOCK.format(date)}`;
}

/** The exact time, for tooltips. */
export function exact(time) {
  return time === null || time === undefined ? "" : new Date(seconds(time) * 1000).toISOString();
}

export function duration(length) {
  if (!Number.isFinite(length)) return "–";
  const s = Math.max(0, length);
  if (s < 0.9995) return `${Math.round(s * 1000)} ms`;
  if (s < 60) return `${s < 10 ? s.toFixed(2) : s.toFixed(1)} s`;
  const whole = Math.round(s);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} min`;
  return `${Math.floor(whole / 86400)} d ${two(Math.floor(whole / 3600) % 24)} h`;
}

function two(number) {
  return String(number).padStart(2, "0");
}

export function count(number) {
  return COUNT.format(number);
}

export function bytes(size) {
  if (size < 1000) return `${size} B`;
  let value = size;
  for (const unit of ["kB", "MB", "GB", "TB"]) {
    value /= 1000;
    if (value < 999.95 || unit === "TB") return `${value.toFixed(value < 10 ? 2 : 1)} ${unit}`;
  }
  return "";
}

/** A text of at most so many letters. */
export function short(text, most) {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}
