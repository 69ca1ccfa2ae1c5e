// What the plots and figures are made of: the metrics, asked for every two seconds, and their courses.

import { get } from "./api.js";

export const POINTS = 150;
export const INTERVAL_MS = 2000;

/** Courses of the last five minutes; they go on while another view is shown. */
export const courses = { received: [], sent: [], bytesIn: [], bytesOut: [], p50: [], p99: [], cpu: [], connected: [] };

let last = null;

/** One answer of the broker: its metrics by name. */
export class Metrics {
  constructor(answer) {
    this.at = performance.now() / 1000;
    this.byName = new Map(answer.metrics.map((metric) => [metric.name, metric.samples]));
  }

  samples(name) {
    return this.byName.get(name) ?? [];
  }

  /** The sum over all labels. */
  sum(name) {
    return this.samples(name).reduce((sum, sample) => sum + sample.value, 0);
  }

  /** Label value and number of each sample that is not 0, the greatest first. */
  by(name, label) {
    const pairs = this.samples(name).map((sample) => [sample.labels[label], sample.value]);
    return pairs.filter(([, value]) => value > 0).sort((a, b) => b[1] - a[1]);
  }

  histogram(name) {
    return this.samples(name)[0];
  }
}

/** The share `q` of what was observed between two histograms, from the bounds of its class. */
export function quantile(before, after, q) {
  if (!after) return NaN;
  const counts = after.buckets.map(([bound, total], index) => [bound, total - (before?.buckets[index][1] ?? 0)]);
  const all = after.count - (before?.count ?? 0);
  if (all <= 0) return NaN;
  const wanted = q * all;
  let below = [0, 0];
  for (const [bound, total] of counts) {
    if (total >= wanted) {
      const share = total === below[1] ? 1 : (wanted - below[1]) / (total - below[1]);
      return below[0] + share * (bound - below[0]);
    }
    below = [bound, total];
  }
  return counts.at(-1)[0];
}

/** Asks once, and adds a point to each course. */
export async function sample(signal) {
  const now = new Metrics(await get("/metrics", {}, signal));
  if (last) {
    const seconds = now.at - last.at;
    const rate = (name) => Math.max(0, (now.sum(name) - last.sum(name)) / seconds);
    const latency = (q) => quantile(last.histogram("dunlin_delivery_latency_seconds"), now.histogram("dunlin_delivery_latency_seconds"), q);
    const point = {
      received: rate("dunlin_messages_received_total"), sent: rate("dunlin_messages_sent_total"),
      bytesIn: rate("dunlin_received_bytes_total"), bytesOut: rate("dunlin_sent_bytes_total"),
      p50: latency(0.5), p99: latency(0.99), cpu: rate("process_cpu_seconds_total") * 100,
      connected: now.sum("dunlin_clients_connected"),
    };
    for (const [name, value] of Object.entries(point)) {
      courses[name].push(value);
      if (courses[name].length > POINTS) courses[name].shift();
    }
  }
  last = now;
  return now;
}
