//! The dashboard at `/`: one page and its parts, in the binary, without anything from elsewhere.
//!
//! The page itself holds nothing of the broker: what it shows it asks the API for, with the token of whoever looks. So
//! these files need no token. The policy forbids the page everything but its own files and this port, and text from
//! clients only ever becomes text nodes (`dom.js`).

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! assets {
    ($($name:literal: $kind:expr),* $(,)?) => {
        &[$( ($name, $kind, include_str!(concat!("dashboard/", $name))), )*]
    };
}

/// Name, type and text of each file.
const ASSETS: &[(&str, &str, &str)] = assets! {
    "dashboard.css": STYLE,
    "icon.svg": IMAGE,
    "main.js": SCRIPT,
    "api.js": SCRIPT,
    "dom.js": SCRIPT,
    "metrics.js": SCRIPT,
    "plot.js": SCRIPT,
    "overview.js": SCRIPT,
    "clients.js": SCRIPT,
    "topics.js": SCRIPT,
    "rates.js": SCRIPT,
    "groups.js": SCRIPT,
    "listeners.js": SCRIPT,
    "console.js": SCRIPT,
    "trace.js": SCRIPT,
};

const PAGE: &str = include_str!("dashboard/index.html");

/// What the page may do: load its own files, ask this port, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router {
    Router::new().route("/", get(|| async { answer(HTML, PAGE) })).route("/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => answer(kind, text),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // After an update, an old part must not meet a new one.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a browser loads before it shows anything.
    const LOADED_BYTES_MAX: usize = 100_000;

    #[test]
    fn all_of_it_is_small_and_there_is_nothing_that_it_does_not_serve() {
        let all = ASSETS.iter().map(|(.., text)| text.len()).sum::<usize>() + PAGE.len();
        assert!(all < LOADED_BYTES_MAX, "{all} bytes");
        for (name, _, text) in ASSETS.iter().copied().chain([("index.html", HTML, PAGE)]) {
            assert!(!text.contains("https://") && !text.contains("innerHTML"), "{name}");
            let imports = text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next());
            let linked = text.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next());
            for wanted in imports.chain(linked) {
                assert!(ASSETS.iter().any(|(known, ..)| *known == wanted), "{name} wants {wanted}");
            }
        }
    }
}
