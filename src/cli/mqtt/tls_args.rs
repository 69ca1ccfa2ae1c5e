//! The options about TLS. Any of them that says how to speak it asks for it, too.

use std::path::PathBuf;

use clap::Args;

use crate::client::{TlsClient, TlsClientOptions, TlsVersion};

/// See the top of the file.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// A PEM file of authorities to trust [default: those of the system]
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// A directory of such files
    #[arg(long, value_name = "DIR")]
    capath: Option<PathBuf>,
    /// Trust the authorities of the system, too
    #[arg(long)]
    tls_use_os_certs: bool,
    /// The client's certificate
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Take a certificate that is for another host; for tests only
    #[arg(long)]
    insecure: bool,
    /// The protocol to ask for by ALPN, such as mqtt
    #[arg(long, value_name = "PROTOCOL")]
    tls_alpn: Option<String>,
    /// The only version of TLS: tlsv1.2 or tlsv1.3 [default: both]
    #[arg(long, value_name = "VERSION", value_parser = tls_version)]
    tls_version: Option<TlsVersion>,
}

fn tls_version(text: &str) -> Result<TlsVersion, String> {
    match text {
        "tlsv1.2" => Ok(TlsVersion::V1_2),
        "tlsv1.3" => Ok(TlsVersion::V1_3),
        _ => Err("must be tlsv1.2 or tlsv1.3; older versions are not safe".into()),
    }
}

impl TlsArgs {
    /// Whether an option asks for TLS by itself.
    pub fn is_given(&self) -> bool {
        self.cafile.is_some()
            || self.capath.is_some()
            || self.tls_use_os_certs
            || self.cert.is_some()
            || self.tls_alpn.is_some()
            || self.tls_version.is_some()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// A sentence that names the file, when one cannot be used.
    pub fn build(&self) -> Result<TlsClient, String> {
        let options = TlsClientOptions {
            ca_file: self.cafile.clone(),
            ca_path: self.capath.clone(),
            uses_system: self.tls_use_os_certs,
            certificate: self.cert.clone().zip(self.key.clone()),
            is_insecure: self.insecure,
            alpn: self.tls_alpn.clone(),
            version: self.tls_version,
        };
        options.build()
    }
}
