// The whole broker at a glance: is it well, what passes through it, how fast, and what does not arrive.

import { get } from "./api.js";
import { bytes, clock, count, counted, duration, failure, fill, h, short, table } from "./dom.js";
import { courses, INTERVAL_MS, POINTS, sample } from "./metrics.js";
import { plot } from "./plot.js";

export const title = "Overview";

/** Topics that are named. */
const BUSIEST = 8;

export function show(main, signal, every) {
  const cards = h("div", { class: "cards" });
  const plots = h("div", { class: "grid" });
  const busy = h("div");
  const tables = h("div", { class: "grid" });
  const problem = h("div");
  fill(main, h("h1", {}, "Overview"), problem, cards, plots, busy, tables);
  every(INTERVAL_MS, async () => fill(busy, busiest(await get("/topics/rates", { limit: BUSIEST }, signal))));
  every(INTERVAL_MS, async () => {
    try {
      const [metrics, status, drops] = await Promise.all([sample(signal), get("/status", {}, signal), get("/drops", {}, signal)]);
      fill(problem, trouble(status));
      fill(cards, figures(metrics, status));
      fill(plots, courseOf("Messages per second", [["received", courses.received, short], ["sent", courses.sent, short]]),
        courseOf("Delivery latency", [["median", courses.p50, duration], ["99 %", courses.p99, duration]]),
        courseOf("Bytes per second", [["received", courses.bytesIn, bytes], ["sent", courses.bytesOut, bytes]]),
        courseOf("CPU, percent of one core", [["all threads", courses.cpu, (value) => `${short(value)} %`]]));
      fill(tables, losses(drops));
    } catch (error) {
      if (signal.aborted) return;
      fill(problem, failure(error));
      throw error;
    }
  });
}

function trouble(status) {
  const store = status.store;
  if (store && store.state !== "writing") return failure(new Error(`The store is ${store.state}: ${store.problem ?? ""}`));
  if (!status.is_ready) return h("p", { class: "notice" }, "The broker is starting or stopping.");
  return null;
}

function figures(metrics, status) {
  const card = (name, value, note) => h("div", { class: "card" },
    h("div", { class: "name" }, name), h("div", { class: "value" }, value), h("div", { class: "note" }, note ?? ""));
  const connected = metrics.sum("dunlin_clients_connected");
  const versions = metrics.by("dunlin_clients_connected", "version").map(([version, number]) => `${version}: ${count(number)}`);
  const inFlight = metrics.sum("dunlin_in_flight_messages");
  return [
    card("Clients connected", count(connected), versions.join(" · ") || "none"),
    card("Sessions", count(status.sessions), `${count(status.sessions - connected)} away`),
    card("Subscriptions", count(status.subscriptions), counted(metrics.sum("dunlin_shared_groups"), "shared group")),
    card("Waiting messages", count(status.queued_messages), `${bytes(status.queued_bytes)} · ${count(inFlight)} in flight`),
    card("Retained Messages", count(status.retained), bytes(status.retained_bytes)),
    card("Memory", bytes(status.memory_bytes), `${bytes(metrics.sum("dunlin_message_memory_bytes"))} of it messages`),
    card("Store", status.store ? bytes(status.store.bytes) : "none", status.store ? status.store.state : "nothing outlives a restart"),
    card("Up", duration(status.uptime_s), h("span", {}, `version ${status.version} · since `, clock(status.started_at))),
  ];
}

function courseOf(name, lines) {
  const latest = lines.map(([label, course, show], index) =>
    h("li", { class: index === 1 && "second" }, `${label} `, h("b", {}, show([...course].reverse().find(Number.isFinite)))));
  const label = `${name} over the last five minutes: ${lines.map(([label, course, show]) => `${label} ${show(course.at(-1))}`).join(", ")}`;
  return h("section", { class: "panel" }, h("h2", {}, name), h("ul", { class: "legend" }, latest),
    plot(label, lines.map(([, course]) => course), POINTS));
}

function busiest(rates) {
  // Where there are more topics than the broker keeps apart, a count may lack what came before.
  const rate = (row, text) => (row.missed_per_s_max > 0 ? `≥ ${text}` : text);
  const beyond = rates.other_messages_per_s > 0 ? `, and ${short(rates.other_messages_per_s)} messages/s to others, which are too many to be kept apart` : "";
  return h("section", { class: "panel" }, h("h2", {}, "Busiest topics"),
    rates.topics.length > 0 && h("p", { class: "note" }, `${counted(rates.matched, "topic")} published to within ${duration(rates.window_s)}${beyond}`),
    table("Busiest topics", [
      { name: "Topic", cell: (row) => row.topic },
      { name: "Messages/s", number: true, cell: (row) => rate(row, short(row.messages_per_s)) },
      { name: "Bytes/s", number: true, cell: (row) => rate(row, bytes(row.bytes_per_s)) },
    ], rates.topics, "Nothing is published."));
}

function losses(drops) {
  const reasons = (name, rows, empty) => h("section", { class: "panel" }, h("h2", {}, name), table(name, [
    { name: "Reason", cell: (row) => row.reason },
    { name: "Count", number: true, cell: (row) => count(row.count) },
  ], rows.filter((row) => row.count > 0).sort((a, b) => b.count - a.count), empty));
  const clients = h("section", { class: "panel" }, h("h2", {}, "Clients that miss most"), table("Clients that miss most", [
    { name: "Client", cell: (row) => h("a", { href: `#/clients/${encodeURIComponent(row.client)}` }, row.client) },
    { name: "Messages dropped", number: true, cell: (row) => count(row.dropped) },
  ], drops.clients, "Nobody has missed a message."));
  const addresses = h("section", { class: "panel" }, h("h2", {}, "Addresses that fail to log in"), table("Addresses that fail to log in", [
    { name: "Address", cell: (row) => row.address },
    { name: "Failures", number: true, cell: (row) => count(row.failures) },
  ], drops.addresses ?? [], "None lately."));
  return [
    reasons("Messages dropped", drops.drops, "Every message has arrived."), clients,
    reasons("Connections refused", drops.refusals, "Nobody was refused."), addresses,
  ];
}

