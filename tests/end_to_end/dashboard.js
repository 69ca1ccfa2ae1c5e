// The dashboard in a browser, over a broker that has work to do. Arguments: the address of the operations port, the
// MQTT port, the token; then, if the pictures are to be kept, a directory.
//
// Every view is opened, read and used as a person would, with the keyboard where that matters; axe judges each in light
// and dark and on the width of a phone. The page may ask for nothing but its own port: anything else fails the test.

"use strict";

const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const mqtt = require("mqtt");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [http, port, token, pictures] = process.argv.slice(2);
/** What takes longer than this has failed; whoever runs this script waits a little longer for its next line. */
const DEADLINE_MS = 45_000;

/** Debian's Chromium, or another that is installed; otherwise Playwright's own. */
function executable() {
  const places = process.env.PATH.split(":").flatMap((folder) => ["chromium", "chromium-browser", "google-chrome"].map((name) => path.join(folder, name)));
  return places.find((place) => fs.existsSync(place));
}

/** Clients of every kind: publishers, subscribers, one that is away with a queue, workers of a group. */
async function load() {
  const url = `mqtt://127.0.0.1:${port}`;
  const connect = (clientId, options = {}) => mqtt.connectAsync(url, { clientId, protocolVersion: 5, reconnectPeriod: 0, ...options });
  const away = await connect("greenhouse-display", { clean: false, properties: { sessionExpiryInterval: 3600 } });
  await away.subscribeAsync("greenhouse/#", { qos: 1 });
  await away.endAsync();
  const workers = await Promise.all([1, 2].map((number) => connect(`worker-${number}`)));
  for (const worker of workers) await worker.subscribeAsync("$share/workers/jobs/#", { qos: 1 });
  const watcher = await connect("home-assistant", { username: undefined, will: { topic: "home/status", payload: "offline", qos: 1 } });
  await watcher.subscribeAsync(["greenhouse/#", "plant/+/state"], { qos: 1 });
  const sensors = await Promise.all([...Array(12).keys()].map((number) => connect(`sensor-${number}`)));
  const publisher = await connect("controller");
  await publisher.publishAsync("plant/7/state", JSON.stringify({ temperature: 21.5, on: true }), { qos: 1, retain: true });
  await publisher.publishAsync("plant/8/state", "off", { qos: 1, retain: true });
  await publisher.publishAsync("plant/8/firmware", Buffer.from([0, 255, 16, 128]), { qos: 1, retain: true });
  for (let number = 0; number < 25; number += 1) await publisher.publishAsync("greenhouse/air", `${number}`, { qos: 1 });
  let round = 0;
  const timer = setInterval(() => {
    round += 1;
    sensors.forEach((sensor, number) => {
      for (let count = 0; count < 10; count += 1) sensor.publish(`plant/${number}/state`, `${round}`, { qos: 0 });
    });
    publisher.publish("jobs/paint", `${round}`, { qos: 1 });
  }, 50);
  return { watcher, stop: async () => { clearInterval(timer); await Promise.all([...workers, ...sensors, watcher, publisher].map((client) => client.endAsync(true))); } };
}

async function main() {
  const work = await load();
  const browser = await chromium.launch({
    executablePath: executable(),
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: "light" });
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  const complaints = [];
  // The browser complains of answers, too: that a token is wrong, and that a topic has no Retained Message.
  const isAnswer = (message) => message.text().includes("401") || (message.text().includes("404") && message.location().url.includes("/api/v1/retained/"));
  page.on("console", (message) => { if (message.type() === "error" && !isAnswer(message)) complaints.push(message.text()); });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => { if (!request.url().startsWith(http)) complaints.push(`asked for ${request.url()}`); });

  async function judge(name) {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    console.log(name);
    assert.deepStrictEqual(violations.map(({ id, nodes }) => `${name}: ${id} at ${nodes.map((node) => node.html).join(" ")}`), []);
  }

  async function keep(name) {
    if (pictures) await page.screenshot({ path: path.join(pictures, `${name}.png`) });
  }

  async function view(name) {
    await page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
    await page.getByRole("heading", { level: 1 }).waitFor();
  }

  async function openPlant() {
    await page.getByRole("button", { name: "Below plant", exact: true }).click();
    await page.getByRole("button", { name: "Below plant/7", exact: true }).click();
    await row("plant/7").getByText(/^\d.*\/s$/).waitFor();
    await page.getByRole("button", { name: "state", exact: true }).first().click();
  }

  async function fits() {
    const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(widths[0] <= widths[1], `the page is ${widths[0]} wide on a phone of ${widths[1]}`);
  }

  /** Of a topic that has others below it, in the tree. */
  const row = (topic) => page.locator(".tree .row").filter({ has: page.getByRole("button", { name: `Below ${topic}`, exact: true }) });
  const text = (value) => page.getByText(value, { exact: false }).first();

  // Nobody sees anything without a token, and a wrong one is refused in words.
  await page.goto(`${http}/`);
  await page.getByLabel("Token").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await text("not, or no longer, valid").waitFor();
  await judge("sign in");
  await keep("sign-in");

  // The address that `dunlin dashboard` prints signs in, and does not keep the token.
  await page.goto("about:blank");
  await page.goto(`${http}/#token=${token}`);
  await text("Clients connected").waitFor();
  assert.ok(!page.url().includes(token), "the token stays in the address");

  // Overview: figures and plots that move.
  await page.waitForFunction(() => document.querySelectorAll(".plot polyline")[0]?.getAttribute("points").split(" ").length >= 4);
  await text("live").waitFor();
  const busiest = page.getByRole("region", { name: "Busiest topics" });
  await busiest.getByRole("rowheader", { name: "plant/3/state" }).waitFor();
  await judge("overview");
  await keep("overview");
  await busiest.evaluate((region) => region.scrollIntoView({ block: "center" }));
  await keep("busiest-topics");

  // Clients: found, sorted, opened by keyboard, watched, disconnected.
  await view("Clients");
  await page.getByLabel("Search").fill("sensor-1");
  await text("of 3 clients").waitFor();
  await page.getByLabel("Search").fill("");
  await page.getByRole("button", { name: "Waiting" }).click();
  await page.locator("tbody tr").first().getByText("greenhouse-display").waitFor();
  await judge("clients");
  await keep("clients");
  await page.getByRole("link", { name: "greenhouse-display" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "greenhouse-display" }).waitFor();
  await text("greenhouse/#").waitFor();
  await text("greenhouse/air").waitFor();
  await judge("one client");
  await keep("client");
  await page.goto(`${http}/#/clients/home-assistant`);
  await text("home/status").waitFor();
  await page.getByRole("button", { name: "Watch live" }).click();
  await page.locator(".log").getByText("PUBLISH").first().waitFor();
  await keep("client-live");
  const gone = new Promise((resolve) => work.watcher.once("close", resolve));
  await page.getByRole("button", { name: "Disconnect" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
  await gone;

  // Topics: opened level by level, with how often they are published, also those that are not retained.
  await view("Topics");
  await row("jobs").getByText(/^\d.*\/s$/).waitFor();
  await page.getByRole("button", { name: "Below jobs", exact: true }).click();
  await page.getByRole("button", { name: "paint", exact: true }).click();
  await text("This topic has no Retained Message").waitFor();
  await page.locator("dl.facts").getByText(/^\d.*\/s · .*B\/s$/).waitFor();
  await page.getByRole("button", { name: "Below jobs", exact: true }).click();

  // One is decoded, changed, cleared.
  await openPlant();
  await page.getByText('"temperature": 21.5').waitFor();
  await page.getByLabel("Shown as").selectOption("Hex");
  await text("7b 22 74 65 6d").waitFor();
  await judge("topics");
  await keep("topics");
  await page.getByText("Change or clear").click();
  await page.getByLabel("New payload").fill("changed by hand");
  await page.getByRole("button", { name: "Publish retained" }).click();
  await page.locator("pre").getByText("changed by hand").waitFor();
  await page.getByText("Change or clear").click();
  await page.getByRole("button", { name: "Clear", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Clear" }).click();
  await text("has no Retained Message any more").waitFor();

  await view("Groups");
  await text("$share/workers/jobs/#").waitFor();
  await page.getByRole("link", { name: "worker-1" }).waitFor();
  await judge("groups");
  await keep("groups");

  await view("Listeners");
  await text(`mqtt://127.0.0.1`).waitFor();
  await text("days left").waitFor();
  await judge("listeners");
  await keep("listeners");

  // Console: what is published comes back.
  await view("Console");
  await page.getByLabel("Topic Filter").fill("by-hand/#");
  await page.getByRole("button", { name: "Subscribe" }).click();
  await page.getByRole("button", { name: "Stop" }).waitFor();
  await page.getByLabel("Topic", { exact: true }).fill("by-hand/1");
  await page.getByLabel("Payload").fill("<b>hello</b>");
  for (let tries = 0; await page.locator(".log li").count() === 0; tries += 1) {
    assert.ok(tries < 100, "nothing comes back");
    await page.getByRole("button", { name: "Publish" }).click();
    await page.locator(".log li").first().waitFor({ timeout: 600 }).catch(() => {});
  }
  await page.locator(".log li").first().getByText("<b>hello</b>").waitFor();
  await judge("console");
  await keep("console");

  await view("Trace");
  await page.getByLabel("Watch a").selectOption("topic");
  await page.getByLabel("Which").fill("jobs/#");
  await page.getByRole("button", { name: "Watch" }).click();
  await page.locator(".log").getByText("jobs/paint").first().waitFor();
  await judge("trace");
  await keep("trace");

  // Dark, and a phone.
  await page.getByRole("button", { name: "Dark" }).click();
  await view("Overview");
  await text("Clients connected").waitFor();
  await judge("overview, dark");
  await keep("overview-dark");
  await view("Topics");
  await openPlant();
  await judge("topics, dark");
  await keep("topics-dark");
  await view("Overview");
  await text("Busiest topics").waitFor();
  await page.setViewportSize({ width: 390, height: 844 });
  await judge("overview on a phone");
  await fits();
  await keep("overview-phone");
  await busiest.evaluate((region) => region.scrollIntoView({ block: "center" }));
  await keep("busiest-topics-phone");
  await view("Topics");
  await openPlant();
  await judge("topics on a phone");
  await fits();
  await keep("topics-phone");
  await view("Clients");
  await page.getByRole("link", { name: "sensor-1", exact: true }).waitFor();
  await judge("clients on a phone");
  await keep("clients-phone");

  assert.deepStrictEqual(complaints, []);
  await browser.close();
  await work.stop();
  console.log("passed");
}

setTimeout(() => { console.error("it takes too long"); process.exit(1); }, 6 * DEADLINE_MS).unref();
main().catch((error) => { console.error(error); process.exit(1); });
