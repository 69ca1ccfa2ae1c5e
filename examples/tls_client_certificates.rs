//! TLS where clients show certificates: one that has one is served, one that has none is not.
//!
//! ```text
//! cargo run --example tls_client_certificates
//! ```
//!
//! The certificates are made on the spot, in a directory that vanishes at the end. For a broker of your own,
//! `cargo xtask certs` makes the same five files for development, and `config/tls.toml` uses them.

use dunlin::{Broker, Config};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// Starts a broker that requires client certificates, and connects to it with one and without.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    make_certificates(directory.path())?;
    let read = |name: &str| fs::read(directory.path().join(name));
    let broker = Broker::start(configuration(directory.path())?)?;
    let port = broker.addresses()[0].port();
    println!("a broker with TLS listens on 127.0.0.1:{port}");

    let ca = read("ca.pem")?;
    let own = (read("client.pem")?, read("client-key.pem")?);
    say_hello(port, ca.clone(), Some(own)).await.map_err(|error| format!("with a certificate: {error}"))?;
    println!("with a certificate: connected, and a message acknowledged");

    // With TLS 1.3 a client believes itself connected before the server has judged its certificate: the
    // refusal is the first thing it reads.
    match say_hello(port, ca, None).await {
        Ok(()) => return Err("a client without a certificate was served".into()),
        Err(error) => println!("without a certificate: refused ({error})"),
    }
    broker.stop();
    Ok(())
}

fn configuration(certificates: &Path) -> Result<Config, Box<dyn Error>> {
    let path = |name: &str| certificates.join(name).display().to_string();
    let text = format!(
        "
        store.path = ''
        http.address = ''

        [[listener]]
        url = 'mqtts://127.0.0.1:0'

        [tls]
        cert = '{}'
        key = '{}'
        client_ca = '{}'
        require_client_cert = true
        ",
        path("server.pem"),
        path("server-key.pem"),
        path("ca.pem"),
    );
    Ok(Config::from_toml("example", &text)?)
}

/// Connects and publishes one message. `own` is the client's certificate and its key, as PEM.
async fn say_hello(port: u16, ca: Vec<u8>, own: Option<(Vec<u8>, Vec<u8>)>) -> Result<(), Box<dyn Error>> {
    let mut options = MqttOptions::new("tls-example", "127.0.0.1", port);
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
        ca,
        alpn: None,
        client_auth: own,
    }));
    let (client, mut events) = AsyncClient::new(options, 10);
    client.publish("examples/tls", QoS::AtLeastOnce, false, "hello").await?;
    let acknowledged = async {
        loop {
            if let Event::Incoming(Packet::PubAck(_)) = events.poll().await? {
                return Ok(());
            }
        }
    };
    timeout(Duration::from_secs(10), acknowledged).await?
}

/// Writes a certificate authority, and a server's and a client's certificate that it has signed.
fn make_certificates(directory: &Path) -> Result<(), Box<dyn Error>> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(directory.join("ca.pem"), authority.self_signed(&authority_key)?.pem())?;
    let issuer = Issuer::new(authority, authority_key);
    for (name, purpose) in
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        // Clients compare this name with the address they connect to; of a client's certificate nobody asks
        // it.
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate()?;
        fs::write(directory.join(format!("{name}.pem")), params.signed_by(&key, &issuer)?.pem())?;
        fs::write(directory.join(format!("{name}-key.pem")), key.serialize_pem())?;
    }
    Ok(())
}
