//! The dashboard in a headless Chromium: `dashboard.js` opens and uses every view over a broker with work to do.
//!
//! With `DUNLIN_PICTURES=DIRECTORY` it leaves a picture of each view there; those of the README are made so.

use std::path::Path;

use dunlin::{Broker, Config};

use crate::script::{self, HINT};
use crate::support::{certificates, dunlin::directory};

#[test]
fn every_view_of_the_dashboard_shows_and_does_what_it_says() {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/node_modules/playwright-core");
    assert!(modules.is_dir(), "Playwright is not there: {HINT}");
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let text = format!(
        "store.path = '{}'\nhttp.address = '127.0.0.1:0'\nsys.interval = '1s'\ntls.cert = '{}'\ntls.key = '{}'\n\
         listener = [{{ url = 'mqtt://127.0.0.1:0' }}, {{ url = 'mqtts://127.0.0.1:0' }}]\n",
        path("data"),
        path("server.pem"),
        path("server-key.pem"),
    );
    let broker = Broker::start(Config::from_toml("test", &text).unwrap()).unwrap();
    let token = std::fs::read_to_string(directory.path().join("data/api-token")).unwrap();
    let http = format!("http://{}", broker.http_address().unwrap());
    let port = broker.addresses()[0].port().to_string();
    let pictures = std::env::var("DUNLIN_PICTURES").unwrap_or_default();
    script::run(Path::new("node"), "dashboard.js", &[&http, &port, token.trim(), &pictures]);
    broker.stop();
}
