// The way to the broker: requests with the token, problem documents as errors, and streams of events.

const KEY = "dunlin-token";

/** Somebody has to show a token first: the frame hears of it (`signed-out`), whoever asked. */
class SignedOut extends Error {
  constructor(message) {
    super(message);
    dispatchEvent(new CustomEvent("signed-out", { detail: message }));
  }
}

/** Takes the token from the address (`#token=...`, as `dunlin dashboard` prints it), so that it does not stay there. */
export function takeToken() {
  const match = /^#token=([A-Za-z0-9_.-]+)$/.exec(location.hash);
  if (match) {
    sessionStorage.setItem(KEY, match[1]);
    history.replaceState(null, "", "#/overview");
  }
}

export const token = () => sessionStorage.getItem(KEY);
export const signIn = (value) => sessionStorage.setItem(KEY, value.trim());
export const signOut = () => sessionStorage.removeItem(KEY);

async function request(method, path, body, signal) {
  if (!token()) throw new SignedOut("Sign in first.");
  const headers = { Authorization: `Bearer ${token()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/api/v1${path}`, {
    method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
  });
  if (answer.ok) return answer;
  if (answer.status === 401) {
    signOut();
    throw new SignedOut("The token is not, or no longer, valid.");
  }
  const problem = await answer.json().catch(() => ({}));
  const errors = (problem.errors ?? []).join("; ");
  const text = [problem.detail ?? problem.title ?? `The broker answered ${answer.status}.`, errors].filter(Boolean).join(": ");
  throw Object.assign(new Error(text), { status: answer.status });
}

export async function get(path, parameters = {}, signal = undefined) {
  return (await request("GET", path + query(parameters), undefined, signal)).json();
}

export async function send(method, path, body) {
  const answer = await request(method, path, body);
  return answer.status === 204 ? null : answer.json().catch(() => null);
}

/** A topic level or a client identifier in a path. A browser would take `.` and `..` for directions, however encoded. */
export function segment(text) {
  if (text === "." || text === "..") throw new Error(`A browser cannot ask for ${text}: use the command line.`);
  return encodeURIComponent(text);
}

function query(parameters) {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return pairs.length === 0 ? "" : `?${new URLSearchParams(pairs)}`;
}

/** Reads a stream of events until `signal` ends it: `take(name, data)` for each. */
export async function stream(path, parameters, signal, take) {
  const answer = await request("GET", path + query(parameters), undefined, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    pending += value.replaceAll("\r", "");
    for (let end; (end = pending.indexOf("\n\n")) >= 0; pending = pending.slice(end + 2)) {
      let name = "message";
      const data = [];
      for (const line of pending.slice(0, end).split("\n")) {
        if (line.startsWith("event:")) name = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
      }
      if (data.length > 0) take(name, JSON.parse(data.join("\n")));
    }
  }
}
