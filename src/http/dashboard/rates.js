// How often topics are published, which the broker counts while somebody looks: as a tree in which each branch has the sum
// of what is known below it.

import { get } from "./api.js";
import { bytes, short } from "./dom.js";

/** Topics of one answer: the busiest. What is beyond them is known to nobody here. */
const TOPICS_MAX = 1000;

class Rates {
  constructor(topics) {
    this.all = { below: new Map() };
    for (const rate of topics) {
      let branch = this.all;
      for (const level of rate.topic.split("/")) {
        if (!branch.below.has(level)) branch.below.set(level, { messages: 0, bytes: 0, below: new Map() });
        branch = branch.below.get(level);
        branch.messages += rate.messages_per_s;
        branch.bytes += rate.bytes_per_s;
      }
    }
  }

  /** A topic with all that is below it, if anything of it was published. */
  of(topic) {
    return topic.split("/").reduce((branch, level) => branch?.below.get(level), this.all);
  }

  /** The branches by their level below a beginning of topics: empty, or a topic and a `/`. */
  below(beginning) {
    return (beginning === "" ? this.all : this.of(beginning.slice(0, -1)))?.below ?? new Map();
  }
}

/** Asks the broker. The first answer after a while takes a second. */
export async function rates(signal) {
  return new Rates((await get("/topics/rates", { limit: TOPICS_MAX }, signal)).topics);
}

export const messagesPerSecond = (branch) => (branch?.messages > 0 ? `${short(branch.messages)}/s` : "");
export const bothPerSecond = (branch) => (branch?.messages > 0 ? `${messagesPerSecond(branch)} · ${bytes(branch.bytes)}/s` : "");
