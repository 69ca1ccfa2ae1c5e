// The tree of topics, opened level by level: those that have Retained Messages and those that are published to, with how
// often; and one message with what is in it.

import { get, segment, send } from "./api.js";
import { announce, bytes, clock, confirm, failure, fill, h } from "./dom.js";
import { INTERVAL_MS } from "./metrics.js";
import { bothPerSecond, messagesPerSecond, rates } from "./rates.js";

export const title = "Topics";

const PAGE = 200;

/** A topic in a path: its slashes stay. */
const pathOf = (topic) => topic.split("/").map(segment).join("/");

export function show(main, signal, every) {
  const one = h("div", { class: "panel" });
  const tree = h("ul", { class: "tree", "aria-label": "Topics" });
  fill(main, h("h1", {}, "Topics"),
    h("div", { class: "split" }, h("section", { class: "panel", "aria-label": "Topics" }, tree), h("section", { "aria-label": "Message" }, one)));
  const desk = { tree, one, signal, rates: null };
  desk.choose = (topic, button) => {
    tree.querySelectorAll("[aria-pressed]").forEach((other) => other.setAttribute("aria-pressed", "false"));
    button?.setAttribute("aria-pressed", "true");
    showMessage(topic, desk);
  };
  desk.reload = () => open(tree, "", desk);
  fill(one, h("p", { class: "empty" }, "Choose a topic. Beside each is the size of its Retained Message, and how often it and those below it are published."),
    newMessage(desk.choose));
  desk.reload();
  every(INTERVAL_MS, async () => {
    desk.rates = await rates(signal);
    showRates(desk);
  });
}

/** Fills a list with the levels below a beginning of topics: none, or a topic and a `/`. */
async function open(list, below, desk, after = undefined) {
  delete list.dataset.below;
  try {
    const answer = await get("/topics", { below, limit: PAGE, after }, desk.signal);
    const items = answer.topics.map((entry) => item(entry, desk));
    if (answer.next) {
      const more = h("li", {}, h("button", { type: "button", onclick: () => { more.remove(); open(list, below, desk, answer.next); } }, "Show more"));
      items.push(more);
    } else {
      // It is whole: topics that are only published to have their places in it.
      list.dataset.below = below;
    }
    if (after === undefined) fill(list, items.length > 0 ? items : h("li", { class: "empty" }, "There is none."));
    else list.append(...items);
    showRates(desk);
  } catch (error) {
    if (!desk.signal.aborted) fill(list, h("li", {}, failure(error)));
  }
}

function item(entry, desk) {
  const below = h("ul");
  const name = entry.level === "" ? "(empty level)" : entry.level;
  const opener = h("button", { type: "button", class: "opener", "aria-expanded": "false", "aria-label": `Below ${entry.topic}`, disabled: !entry.has_children, onclick: () => {
    const isOpen = opener.getAttribute("aria-expanded") === "true";
    opener.setAttribute("aria-expanded", String(!isOpen));
    opener.textContent = isOpen ? "▸" : "▾";
    if (isOpen) below.remove(); else { element.append(below); open(below, `${entry.topic}/`, desk); }
  } }, "▸");
  const choose = (event) => {
    if (entry.has_message || opener.disabled) desk.choose(entry.topic, event.currentTarget);
    else opener.click();
  };
  const label = h("button", { type: "button", "aria-pressed": entry.has_message && "false", onclick: choose }, name);
  const element = h("li", { "data-level": entry.level }, h("div", { class: "row" }, opener, label,
    h("span", { class: "size" }, entry.has_message ? bytes(entry.size_bytes) : ""),
    h("span", { class: "rate", "data-rate-of": entry.topic })));
  return element;
}

/** Shows what the broker has counted last: beside what is open, and as topics of their own those that are not retained. */
function showRates(desk) {
  if (!desk.rates) return;
  const lists = [desk.tree, ...desk.tree.querySelectorAll("ul")].filter((list) => list.dataset.below !== undefined);
  for (const list of lists) {
    const shown = new Map([...list.children].map((element) => [element.dataset.level, element]));
    for (const [level, branch] of desk.rates.below(list.dataset.below)) {
      const there = shown.get(level);
      const has_children = branch.below.size > 0;
      if (there && has_children) there.querySelector(".opener").disabled = false;
      if (there) continue;
      const next = [...list.children].find((element) => element.dataset.level > level);
      list.insertBefore(item({ level, topic: list.dataset.below + level, has_message: false, has_children }, desk), next ?? null);
      list.querySelector(":scope > .empty")?.remove();
    }
  }
  for (const place of desk.tree.querySelectorAll("[data-rate-of]")) place.textContent = messagesPerSecond(desk.rates.of(place.dataset.rateOf));
  for (const place of desk.one.querySelectorAll("[data-rate-of]")) place.textContent = bothPerSecond(desk.rates.of(place.dataset.rateOf)) || "not lately";
}

async function showMessage(topic, desk) {
  const { one: place, signal } = desk;
  try {
    const message = await get(`/retained/${pathOf(topic)}`, {}, signal);
    const shown = h("pre", { class: "payload", tabindex: "0" });
    const forms = decodings(message);
    const choice = h("select", { onchange: () => { shown.textContent = forms[choice.value]; } }, Object.keys(forms).map((form) => h("option", { value: form }, form)));
    shown.textContent = Object.values(forms)[0];
    const properties = Object.entries(message.properties ?? {}).filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0));
    fill(place, h("h2", {}, topic),
      facts([
        ["QoS", message.qos], ["Size", bytes(message.size_bytes)], ["Received", clock(message.received_at)],
        ["Expires", clock(message.expires_at)], ["From", message.writer ?? "–"], published(topic),
        ...properties.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
      ]),
      h("div", { class: "bar" }, h("label", {}, "Shown as", choice)), shown,
      editor(topic, message, desk));
  } catch (error) {
    if (signal.aborted) return;
    fill(place, error.status === 404
      ? [h("h2", {}, topic), h("p", { class: "note" }, "This topic has no Retained Message."), facts([published(topic)])]
      : failure(error));
  }
  showRates(desk);
}

const facts = (pairs) => h("dl", { class: "facts" }, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

/** How often a topic and those below it are published; `showRates` says it. */
const published = (topic) => ["Published", h("span", { "data-rate-of": topic }, "…")];

/** The payload as JSON (if it is), text (if it is) and hexadecimal. */
function decodings(message) {
  const forms = {};
  if (message.payload !== null) {
    try { forms.JSON = JSON.stringify(JSON.parse(message.payload), null, 2); } catch { /* it is no JSON */ }
    forms.Text = message.payload;
  }
  const raw = Uint8Array.from(atob(message.payload_base64), (letter) => letter.charCodeAt(0));
  const lines = [];
  for (let start = 0; start < Math.min(raw.length, 8192); start += 16) {
    const row = [...raw.slice(start, start + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(47);
    lines.push(`${start.toString(16).padStart(6, "0")}  ${hex}  ${row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("")}`);
  }
  forms.Hex = lines.join("\n") + (raw.length > 8192 ? "\n…" : "");
  return forms;
}

function editor(topic, message, desk) {
  const { one: place } = desk;
  const text = h("textarea", { class: "mono", value: message.payload ?? "" });
  const save = async () => {
    try {
      await send("PUT", `/retained/${pathOf(topic)}`, { payload: text.value, qos: message.qos });
      announce("Saved");
      showMessage(topic, desk);
    } catch (error) { place.append(failure(error)); }
  };
  const clear = async () => {
    if (!await confirm(`Clear the Retained Message of ${topic}?`, "Clear")) return;
    try {
      await send("DELETE", `/retained/${pathOf(topic)}`);
      announce("Cleared");
      fill(place, h("p", { class: "empty" }, `${topic} has no Retained Message any more.`));
      desk.reload();
    } catch (error) { place.append(failure(error)); }
  };
  return h("details", {}, h("summary", {}, "Change or clear"),
    h("label", {}, "New payload", text),
    h("div", { class: "bar" }, h("button", { type: "button", class: "primary", onclick: save }, "Publish retained"), h("button", { type: "button", class: "danger", onclick: clear }, "Clear")));
}

function newMessage(choose) {
  const topic = h("input", { placeholder: "plant/7/state" });
  return h("form", { class: "bar", onsubmit: (event) => { event.preventDefault(); if (topic.value) choose(topic.value); } },
    h("label", { class: "grow" }, "Or name one", topic), h("button", {}, "Show"));
}
