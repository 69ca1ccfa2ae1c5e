// Watching one client, one address or some topics, packet by packet.

import { stream } from "./api.js";
import { failure, fill, h, journal } from "./dom.js";

export const title = "Trace";

const LINES_MAX = 500;
const SIGNS = { received: "→", sent: "←", refused: "✕ refused", dropped: "✕ dropped", connected: "connected", closed: "closed" };

export function show(main, signal) {
  const place = h("div");
  const kind = h("select", {}, [["client", "Client identifier"], ["topic", "Topic Filter"], ["address", "Address"]].map(([value, name]) => h("option", { value }, name)));
  const what = h("input", { required: true });
  fill(main, h("h1", {}, "Trace"),
    h("form", { class: "bar", onsubmit: (event) => { event.preventDefault(); liveTrace(place, signal, { [kind.value]: what.value }); } },
      h("label", {}, "Watch a", kind), h("label", { class: "grow" }, "Which", what), h("button", { class: "primary" }, "Watch")), place);
}

/** Shows what happens from now on, in the place given, until it is stopped or the view is left. */
export async function liveTrace(place, signal, request) {
  place.dispatchEvent(new Event("replaced"));
  const stopped = new AbortController();
  const stop = () => stopped.abort();
  signal.addEventListener("abort", stop);
  place.addEventListener("replaced", stop, { once: true });
  const log = journal("Packets", LINES_MAX);
  const button = h("button", { type: "button", onclick: stop }, "Stop");
  fill(place, h("div", { class: "bar" }, h("h2", { class: "grow" }, `Watching ${Object.values(request)[0]}`), button), log.element);
  try {
    await stream("/trace", request, stopped.signal, (name, data) => {
      log.add(() => name === "lost" ? h("li", { class: "decision" }, `${data.count} lines were too many to show`) : line(data));
    });
  } catch (error) {
    if (!stopped.signal.aborted) place.append(failure(error));
  }
  button.disabled = true;
}

function line(data) {
  const kind = data.event === "received" ? "in" : ["refused", "dropped"].includes(data.event) ? "decision" : "";
  const details = Object.entries(data.details).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return h("li", { class: kind }, h("time", { datetime: data.at }, data.at.slice(11, 23)), ` ${data.client} ${SIGNS[data.event]} ${data.packet ?? ""} ${details.join(" ")}`);
}
