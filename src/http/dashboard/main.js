// The frame: which view is shown, who is signed in, light or dark. A view is a module with `title` and
// `show(main, signal, every, path)`; `signal` ends when it is left, `every` repeats a deed until then.

import { signIn, signOut, takeToken, token } from "./api.js";
import { failure, fill, h } from "./dom.js";
import * as overview from "./overview.js";
import * as clients from "./clients.js";
import * as topics from "./topics.js";
import * as groups from "./groups.js";
import * as listeners from "./listeners.js";
import * as console_ from "./console.js";
import * as trace from "./trace.js";

const VIEWS = { overview, clients, topics, groups, listeners, console: console_, trace };

const main = document.getElementById("main");
const state = document.getElementById("state");
let leave = new AbortController();

function route() {
  leave.abort();
  leave = new AbortController();
  takeToken();
  const [name, ...path] = location.hash.replace(/^#\/?/, "").split("/");
  const view = VIEWS[name] ?? overview;
  document.title = `${view.title} · Dunlin`;
  fill(document.getElementById("tabs"), Object.entries(VIEWS).map(([key, other]) =>
    h("li", {}, h("a", { href: `#/${key}`, "aria-current": other === view && "page" }, other.title))));
  document.getElementById("sign-out").hidden = !token();
  if (!token()) return askForToken();
  const { signal } = leave;
  try {
    view.show(main, signal, (interval, deed) => repeat(interval, deed, signal), path);
  } catch (error) {
    fill(main, failure(error));
  }
}

/** Does something now and again, each time when the last has ended; not while nobody looks. */
async function repeat(interval, deed, signal) {
  while (!signal.aborted) {
    if (!document.hidden) {
      try {
        await deed();
        say("good", "live");
      } catch (error) {
        if (signal.aborted) return;
        say("bad", "no answer");
      }
    }
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, interval);
      signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
    });
  }
}

function say(kind, text) {
  if (state.textContent !== text) state.textContent = text;
  state.className = `state ${kind}`;
}

function askForToken(problem = "") {
  say("", "");
  document.getElementById("sign-out").hidden = true;
  const input = h("input", { type: "password", autocomplete: "off", required: true });
  fill(main, h("section", { class: "sign-in panel" }, h("h1", {}, "Sign in"),
    h("p", {}, "On the broker's machine, ", h("code", {}, "dunlin dashboard"), " prints an address that signs you in. Elsewhere, make a token with ", h("code", {}, "dunlin token create"), "."),
    problem ? h("p", { class: "notice bad", role: "alert" }, problem) : null,
    h("form", { onsubmit: (event) => { event.preventDefault(); signIn(input.value); route(); } },
      h("label", {}, "Token", input), h("button", { class: "primary" }, "Sign in"))));
}

function theme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const saved = localStorage.getItem("dunlin-theme");
  if (saved) root.dataset.theme = saved;
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("dunlin-theme", root.dataset.theme);
    name();
  });
  name();
}

addEventListener("signed-out", (event) => { leave.abort(); askForToken(event.detail); });
document.getElementById("sign-out").addEventListener("click", () => { signOut(); route(); });
addEventListener("hashchange", () => { route(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
theme();
route();
