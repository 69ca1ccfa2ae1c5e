// Shared groups as the work queues that they are: what waits, how old it is, and who has what.

import { get } from "./api.js";
import { bytes, count, duration, failure, fill, h, table } from "./dom.js";

export const title = "Groups";

export function show(main, signal, every) {
  const list = h("div");
  fill(main, h("h1", {}, "Shared groups"), list);
  every(3000, async () => {
    try {
      const { groups, next } = await get("/groups", { limit: 200 }, signal);
      fill(list, groups.length === 0
        ? h("p", { class: "notice" }, "There is none. Subscribe to ", h("code", {}, "$share/workers/jobs/#"), " and messages become work that members share.")
        : groups.map(group), next ? h("p", { class: "note" }, "Only the first 200 are shown; dunlin groups lists all.") : null);
    } catch (error) {
      if (signal.aborted) return;
      fill(list, failure(error));
      throw error;
    }
  });
}

function group(group) {
  const state = group.members.some((member) => member.is_connected)
    ? (group.members.some((member) => member.is_ready) ? h("span", { class: "badge good" }, "working") : h("span", { class: "badge warn" }, "all busy"))
    : h("span", { class: "badge bad" }, "nobody connected");
  return h("section", { class: "panel" }, h("h2", {}, group.name, " ", state),
    h("dl", { class: "facts" }, [
      ["Waiting", `${count(group.queued_messages)} messages, ${bytes(group.queued_bytes)}`],
      ["Oldest waits since", duration(group.oldest_age_s)],
      ["With members", count(group.members.reduce((sum, member) => sum + member.outstanding, 0))],
    ].map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    table(`Members of ${group.name}`, [
      { name: "Member", cell: (member) => h("a", { href: `#/clients/${encodeURIComponent(member.client)}` }, member.client) },
      { name: "State", cell: (member) => member.is_connected ? (member.is_ready ? "ready" : "busy") : "away" },
      { name: "QoS", number: true, cell: (member) => member.qos },
      { name: "Has", number: true, cell: (member) => count(member.outstanding) },
    ], group.members, "Nobody."));
}
