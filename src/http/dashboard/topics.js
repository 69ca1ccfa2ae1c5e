// The tree of topics that have Retained Messages, opened level by level, and one message with what is in it.

import { get, segment, send } from "./api.js";
import { announce, bytes, clock, confirm, failure, fill, h } from "./dom.js";

export const title = "Topics";

const PAGE = 200;

/** A topic in a path: its slashes stay. */
const pathOf = (topic) => topic.split("/").map(segment).join("/");

export function show(main, signal) {
  const one = h("div", { class: "panel" }, h("p", { class: "empty" }, "Choose a topic that has a Retained Message."));
  const tree = h("ul", { class: "tree", "aria-label": "Topics with Retained Messages" });
  fill(main, h("h1", {}, "Retained Messages"),
    h("div", { class: "split" }, h("section", { class: "panel", "aria-label": "Topics" }, tree), h("section", { "aria-label": "Message" }, one)));
  const choose = (topic, button) => {
    tree.querySelectorAll("[aria-pressed]").forEach((other) => other.setAttribute("aria-pressed", "false"));
    button?.setAttribute("aria-pressed", "true");
    showMessage(one, topic, signal, reload);
  };
  const reload = () => open(tree, "", choose, signal);
  fill(one, h("p", { class: "empty" }, "Choose a topic that has a Retained Message."), newMessage(choose));
  reload();
}

/** Fills a list with the levels below a topic. */
async function open(list, below, choose, signal, after = undefined) {
  try {
    const answer = await get("/topics", { below, limit: PAGE, after }, signal);
    const items = answer.topics.map((entry) => item(entry, choose, signal));
    if (answer.next) {
      const more = h("li", {}, h("button", { type: "button", onclick: () => { more.remove(); open(list, below, choose, signal, answer.next); } }, "Show more"));
      items.push(more);
    }
    if (after === undefined) fill(list, items.length > 0 ? items : h("li", { class: "empty" }, "There is none."));
    else list.append(...items);
  } catch (error) {
    if (!signal.aborted) fill(list, h("li", {}, failure(error)));
  }
}

function item(entry, choose, signal) {
  const below = h("ul");
  const name = entry.level === "" ? "(empty level)" : entry.level;
  const opener = entry.has_children
    ? h("button", { type: "button", class: "opener", "aria-expanded": "false", "aria-label": `Below ${entry.topic}`, onclick: () => {
        const isOpen = opener.getAttribute("aria-expanded") === "true";
        opener.setAttribute("aria-expanded", String(!isOpen));
        opener.textContent = isOpen ? "▸" : "▾";
        if (isOpen) below.remove(); else { element.append(below); open(below, entry.topic, choose, signal); }
      } }, "▸")
    : h("span", { class: "opener" });
  const label = entry.has_message
    ? h("button", { type: "button", "aria-pressed": "false", onclick: (event) => choose(entry.topic, event.currentTarget) }, name)
    : h("button", { type: "button", onclick: () => opener.click?.() }, name);
  const element = h("li", {}, h("div", { class: "row" }, opener, label, h("span", { class: "size" }, entry.has_message ? bytes(entry.size_bytes) : "")));
  return element;
}

async function showMessage(place, topic, signal, reload) {
  try {
    const message = await get(`/retained/${pathOf(topic)}`, {}, signal);
    const shown = h("pre", { class: "payload", tabindex: "0" });
    const forms = decodings(message);
    const choice = h("select", { onchange: () => { shown.textContent = forms[choice.value]; } }, Object.keys(forms).map((form) => h("option", { value: form }, form)));
    shown.textContent = Object.values(forms)[0];
    const properties = Object.entries(message.properties ?? {}).filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0));
    fill(place, h("h2", {}, topic),
      h("dl", { class: "facts" }, [
        ["QoS", message.qos], ["Size", bytes(message.size_bytes)], ["Received", clock(message.received_at)],
        ["Expires", clock(message.expires_at)], ["From", message.writer ?? "–"],
        ...properties.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
      ].map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      h("div", { class: "bar" }, h("label", {}, "Shown as", choice)), shown,
      editor(topic, message, place, signal, reload));
  } catch (error) {
    if (!signal.aborted) fill(place, failure(error));
  }
}

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

function editor(topic, message, place, signal, reload) {
  const text = h("textarea", { class: "mono", value: message.payload ?? "" });
  const save = async () => {
    try {
      await send("PUT", `/retained/${pathOf(topic)}`, { payload: text.value, qos: message.qos });
      announce("Saved");
      showMessage(place, topic, signal, reload);
    } catch (error) { place.append(failure(error)); }
  };
  const clear = async () => {
    if (!await confirm(`Clear the Retained Message of ${topic}?`, "Clear")) return;
    try {
      await send("DELETE", `/retained/${pathOf(topic)}`);
      announce("Cleared");
      fill(place, h("p", { class: "empty" }, `${topic} has no Retained Message any more.`));
      reload();
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
