// Listeners and their certificates.

import { get } from "./api.js";
import { count, failure, fill, h, table } from "./dom.js";

export const title = "Listeners";

export function show(main, signal, every) {
  const list = h("div");
  fill(main, h("h1", {}, "Listeners"), list);
  every(5000, async () => {
    try {
      const { listeners } = await get("/listeners", {}, signal);
      fill(list, table("Listeners", [
        { name: "URL", cell: (row) => row.url },
        { name: "Address", cell: (row) => row.address ?? "–" },
        { name: "Connections", number: true, cell: (row) => count(row.connections) },
        { name: "Accepted", number: true, cell: (row) => count(row.accepted) },
        { name: "Refused", number: true, cell: (row) => count(row.refused) },
        { name: "Certificates", cell: (row) => row.tls ? row.tls.map(certificate) : "no TLS" },
      ], listeners, "There is none."));
    } catch (error) {
      if (signal.aborted) return;
      fill(list, failure(error));
      throw error;
    }
  });
}

function certificate(entry) {
  const left = entry.days_left;
  const kind = left < 0 ? "bad" : left < 30 ? "warn" : "good";
  const until = left < 0 ? "has ended" : `${count(left)} days left`;
  return h("div", {}, h("span", { class: `badge ${kind}` }, until), " ", entry.subject, entry.kind === "crl" ? " (revocation list)" : "");
}
