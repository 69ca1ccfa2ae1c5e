// Clients: searched, sorted, a page at a time; and one client with everything it has.

import { get, segment, send } from "./api.js";
import { ago, announce, bytes, clock, confirm, count, duration, failure, fill, h, table } from "./dom.js";
import { liveTrace } from "./trace.js";

export const title = "Clients";

const PAGE = 50;

/** What the list is sorted by, kept while other views are shown. */
const wish = { search: "", state: "all", sort: "client", order: "asc" };

const COLUMNS = [
  { name: "Client", sort: "client", cell: (row) => h("a", { href: `#/clients/${encodeURIComponent(row.client)}` }, row.client) },
  { name: "State", cell: state },
  { name: "User", cell: (row) => row.user ?? "–" },
  { name: "Address", cell: (row) => row.address ?? "–" },
  { name: "Version", cell: (row) => row.version ?? "–" },
  { name: "Subscriptions", sort: "subscriptions", number: true, cell: (row) => count(row.subscriptions) },
  { name: "Received", sort: "messages_received", number: true, cell: (row) => count(row.messages_received) },
  { name: "Sent", sort: "messages_sent", number: true, cell: (row) => count(row.messages_sent) },
  { name: "Waiting", sort: "queued_messages", number: true, cell: (row) => count(row.queued_messages) },
  { name: "In flight", sort: "in_flight_messages", number: true, cell: (row) => count(row.in_flight_messages) },
  { name: "Dropped", sort: "dropped", number: true, cell: (row) => count(row.dropped) },
];

function state(row) {
  if (!row.is_connected) return h("span", { class: "badge" }, `away ${ago(row.away_since)}`);
  return row.is_slow ? h("span", { class: "badge warn" }, "slow") : h("span", { class: "badge good" }, "connected");
}

export function show(main, signal, every, path) {
  if (path.length > 0) return showOne(main, signal, every, decodeURIComponent(path.join("/")));
  const list = h("div");
  const more = h("div", { class: "bar" });
  const matched = h("p", { class: "note", role: "status" });
  let shown = [];
  let next = null;
  const search = h("input", { type: "search", value: wish.search, placeholder: "client identifier, user or address", oninput: debounced(() => { wish.search = search.value; load(); }) });
  const states = h("select", { onchange: () => { wish.state = states.value; load(); } },
    [["all", "All"], ["connected", "Connected"], ["away", "Away"]].map(([value, name]) => h("option", { value }, name)));
  states.value = wish.state;
  fill(main, h("h1", {}, "Clients"),
    h("div", { class: "bar" }, h("label", { class: "grow" }, "Search", search), h("label", {}, "State", states)), matched, list, more);

  async function load(after = undefined) {
    try {
      const answer = await get("/clients", { ...wish, limit: PAGE, after }, signal);
      shown = after === undefined ? answer.clients : shown.concat(answer.clients);
      next = answer.next;
      draw(answer.matched);
    } catch (error) {
      if (!signal.aborted) fill(list, failure(error));
    }
  }

  function draw(total) {
    const columns = COLUMNS.map((column) => column.sort ? { ...column, head: sorter(column), sorted: wish.sort === column.sort ? (wish.order === "asc" ? "ascending" : "descending") : "none" } : column);
    fill(list, table("Clients", columns, shown, "No client matches."));
    if (total !== undefined && total !== null) fill(matched, `${count(shown.length)} of ${count(total)} clients`);
    fill(more, next ? h("button", { type: "button", onclick: () => load(next) }, "Show more") : null);
  }

  function sorter(column) {
    return h("button", { type: "button", onclick: async () => {
      const isSame = wish.sort === column.sort;
      wish.order = isSame ? (wish.order === "asc" ? "desc" : "asc") : (column.number ? "desc" : "asc");
      wish.sort = column.sort;
      await load();
      announce(`Sorted by ${column.name}, ${wish.order === "asc" ? "ascending" : "descending"}`);
      [...list.querySelectorAll("th button")].find((button) => button.textContent === column.name)?.focus();
    } }, column.name);
  }

  load();
}

function debounced(deed) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(deed, 250); };
}

function showOne(main, signal, every, client) {
  const body = h("div");
  const actions = h("div", { class: "bar" });
  const watch = h("div");
  fill(main, h("p", {}, h("a", { href: "#/clients" }, "All clients")), h("h1", {}, client), actions, body, watch);
  const act = (question, name, deed) => async () => {
    if (!await confirm(question, name)) return;
    try { await deed(); announce("Done"); } catch (error) { fill(watch, failure(error)); }
  };
  fill(actions,
    h("button", { type: "button", onclick: act(`Disconnect ${client}? It may come back at once.`, "Disconnect", () => send("POST", `/clients/${segment(client)}/disconnect`)) }, "Disconnect"),
    h("button", { type: "button", class: "danger", onclick: act(`End the Session of ${client}? Its subscriptions and what waits for it are lost.`, "End the Session", () => send("DELETE", `/clients/${segment(client)}`)) }, "End Session"),
    h("button", { type: "button", onclick: () => liveTrace(watch, signal, { client }) }, "Watch live"));
  every(2000, async () => {
    try {
      const one = await get(`/clients/${segment(client)}`, {}, signal);
      fill(body, details(one));
    } catch (error) {
      if (signal.aborted) return;
      fill(body, failure(error));
      throw error;
    }
  });
}

function details(one) {
  const facts = [
    ["State", state(one)],
    ["User", one.user ?? "anonymous"],
    ["Address", one.address ?? "–"],
    ["Listener", one.listener ?? "–"],
    ["MQTT version", one.version ?? "–"],
    ["Connected since", clock(one.connected_at)],
    ["Keep Alive", one.keep_alive_s ? `${one.keep_alive_s} s` : "off"],
    ["Session Expiry", one.session_expiry_s === null ? "never" : one.session_expiry_s === 0 ? "with the connection" : duration(one.session_expiry_s)],
    ["Session ends", clock(one.expires_at)],
    ["Messages received / sent", `${count(one.messages_received)} / ${count(one.messages_sent)}`],
    ["Messages dropped", count(one.dropped)],
    ["Waiting", `${count(one.queued_messages)} messages, ${bytes(one.queued_bytes)}`],
    ["Not written yet", bytes(one.outbox_bytes)],
    ["Will", one.will ? `${one.will.topic} (QoS ${one.will.qos})` : "none"],
    ["Last error", one.last_error ?? "none"],
  ];
  return [
    h("section", { class: "panel" }, h("h2", {}, "Session"), h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))),
    h("div", { class: "grid" },
      h("section", { class: "panel" }, h("h2", {}, "Subscriptions"), table("Subscriptions", [
        { name: "Topic Filter", cell: (row) => row.share ? `$share/${row.share}/${row.filter}` : row.filter },
        { name: "QoS", number: true, cell: (row) => row.qos },
        { name: "Options", cell: (row) => [row.no_local && "No Local", row.retain_as_published && "Retain As Published", row.identifier && `identifier ${row.identifier}`].filter(Boolean).join(", ") || "–" },
      ], one.subscription_list, "None.")),
      h("section", { class: "panel" }, h("h2", {}, "In flight"), table("In flight", [
        { name: "Topic", cell: (row) => row.topic },
        { name: "Packet Identifier", number: true, cell: (row) => row.packet_identifier },
        { name: "QoS", number: true, cell: (row) => row.qos },
        { name: "State", cell: (row) => row.state },
      ], one.in_flight, "Nothing.")),
      h("section", { class: "panel" }, h("h2", {}, "Waiting"), table("Waiting", [
        { name: "Topic", cell: (row) => row.topic ?? "in the store" },
        { name: "QoS", number: true, cell: (row) => row.qos },
        { name: "Size", number: true, cell: (row) => bytes(row.size_bytes) },
        { name: "Age", number: true, cell: (row) => duration(row.age_s) },
      ], one.queue, "Nothing."))),
  ];
}
