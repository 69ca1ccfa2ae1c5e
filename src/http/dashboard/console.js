// Publishing and subscribing by hand.

import { send, stream } from "./api.js";
import { announce, failure, fill, h, journal } from "./dom.js";

export const title = "Console";

const LINES_MAX = 500;

export function show(main, signal) {
  const log = journal("Messages", LINES_MAX);
  const said = h("div");
  const filter = h("input", { value: "#", required: true });
  const button = h("button", { class: "primary" }, "Subscribe");
  let current = null;

  async function subscribe(event) {
    event.preventDefault();
    if (current) {
      current.abort();
      return;
    }
    current = new AbortController();
    signal.addEventListener("abort", () => current?.abort());
    button.textContent = "Stop";
    fill(said);
    try {
      await stream("/subscribe", { filter: filter.value, qos: 2 }, current.signal, (name, data) => {
        if (name === "lost") log.add(() => h("li", { class: "decision" }, `${data.count} messages were too many to show`));
        else log.add(() => h("li", {}, h("time", {}, new Date(data.at).toLocaleTimeString()), " ", h("span", { class: "in" }, data.topic),
          data.retain ? " (retained) " : " ", data.payload ?? `[${data.payload_base64.length * 3 >> 2} bytes]`));
      });
    } catch (error) {
      if (!current.signal.aborted) fill(said, failure(error));
    }
    current = null;
    button.textContent = "Subscribe";
  }

  const topic = h("input", { required: true, placeholder: "plant/7/state" });
  const qos = h("select", {}, [0, 1, 2].map((value) => h("option", { value }, value)));
  const retain = h("input", { type: "checkbox" });
  const payload = h("textarea", { class: "mono", "aria-label": "Payload" });
  async function publish(event) {
    event.preventDefault();
    try {
      await send("POST", "/publish", { topic: topic.value, payload: payload.value, qos: Number(qos.value), retain: retain.checked });
      fill(said);
      announce("Published");
    } catch (error) {
      fill(said, failure(error));
    }
  }

  fill(main, h("h1", {}, "Console"), said,
    h("div", { class: "grid" },
      h("section", { class: "panel" }, h("h2", {}, "Subscribe"),
        h("form", { class: "bar", onsubmit: subscribe }, h("label", { class: "grow" }, "Topic Filter", filter), button), log.element),
      h("section", { class: "panel" }, h("h2", {}, "Publish"),
        h("form", { onsubmit: publish },
          h("div", { class: "bar" }, h("label", { class: "grow" }, "Topic", topic), h("label", {}, "QoS", qos), h("label", { class: "check" }, retain, "Retain")),
          h("label", {}, "Payload", payload),
          h("div", { class: "bar" }, h("button", { class: "primary" }, "Publish"))))));
}
