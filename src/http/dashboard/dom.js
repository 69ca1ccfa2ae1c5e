// Building elements, and writing numbers and times for people. Text from clients only ever becomes text nodes.

/** An element: properties, then children. `on...` are listeners, `class` and others are attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Puts children into an element in the place of what was there. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

/** Says something to screen readers. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

const counts = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const small = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export function count(value) {
  return value === null || value === undefined ? "–" : counts.format(value);
}

/** A number of things: 1 client, 2 clients. */
export function counted(value, name) {
  return `${count(value)} ${name}${value === 1 ? "" : "s"}`;
}

/** A rate or a size with three digits and a letter: 12.3 k. */
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  for (const [limit, letter] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (Math.abs(value) >= limit) return `${small.format(value / (letter === "k" ? 1e3 : limit))} ${letter}`;
  }
  return value >= 100 ? counts.format(value) : small.format(value);
}

/** A size in the units of the configuration: 1 KB is 1,024 bytes. */
export function bytes(value) {
  if (value === null || value === undefined) return "–";
  for (const [limit, unit] of [[2 ** 30, "GB"], [2 ** 20, "MB"], [2 ** 10, "KB"]]) {
    if (value >= limit) return `${small.format(value / limit)} ${unit}`;
  }
  return `${counts.format(value)} B`;
}

/** A time in seconds, as people say it. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1e-3) return `${small.format(seconds * 1e6)} µs`;
  if (seconds < 1) return `${small.format(seconds * 1e3)} ms`;
  if (seconds < 60) return `${small.format(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d`;
}

/** How long ago a time was. */
export function ago(time) {
  return time ? duration(Math.max(0, (Date.now() - Date.parse(time)) / 1000)) : "–";
}

export function clock(time) {
  return time ? h("time", { datetime: time, title: time }, new Date(time).toLocaleString()) : "–";
}

/** A table in a frame that scrolls. A column: name, cell(row), and `number` if it is one; the first is the row's name. */
export function table(caption, columns, rows, empty) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  const head = columns.map((column) =>
    h("th", { scope: "col", class: column.number && "number", "aria-sort": column.sorted }, column.head ?? column.name));
  const body = rows.map((row) => h("tr", {}, columns.map((column, index) =>
    h(index === 0 ? "th" : "td", { scope: index === 0 && "row", class: column.number && "number" }, column.cell(row)))));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "visually-hidden" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}

/** Asks before something that cannot be taken back. */
export function confirm(question, deed) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-label": question },
      h("p", {}, question),
      h("div", { class: "bar" },
        h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
        h("button", { type: "button", class: "danger", onclick: () => dialog.close("yes") }, deed)));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function failure(error) {
  return h("p", { class: "notice bad", role: "alert" }, error.message ?? String(error));
}

/**
 * A list that grows at its end, shows the last `most` lines, and follows them while its end is in sight. Lines are shown
 * five times a second, however fast they come: what a stream brings in between would be gone before anybody could read it.
 */
export function journal(label, most) {
  const element = h("ul", { class: "log mono", tabindex: "0", "aria-label": label });
  let pending = [];
  let timer = null;
  const show = () => {
    timer = null;
    const isAtEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 20;
    element.append(...pending.map((line) => line()));
    pending = [];
    while (element.childElementCount > most) element.firstElementChild.remove();
    if (isAtEnd) element.scrollTop = element.scrollHeight;
  };
  /** `line` makes the element, if there is still room for it when it is shown. */
  const add = (line) => {
    pending.push(line);
    if (pending.length > most) pending.shift();
    timer ??= setTimeout(show, 200);
  };
  return { element, add };
}
