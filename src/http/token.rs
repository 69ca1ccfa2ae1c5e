//! The token that opens the API: whoever can read the data directory may use it.
//!
//! It is made anew at every start and written to the file `api-token`, which its owner alone can read. So nothing
//! has to be configured, nothing is the same on two machines, and another user of this machine gets nowhere.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use subtle::ConstantTimeEq;

/// The file in the data directory.
pub const TOKEN_FILE: &str = "api-token";

/// See the top of the file.
pub struct ApiToken(String);

impl ApiToken {
    /// Makes a token and writes it into the data directory.
    pub fn create(data_dir: &Path) -> io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let token = Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        // Under another name first, so that nobody reads half of it or keeps an old file open.
        let (path, new) = (data_dir.join(TOKEN_FILE), data_dir.join("api-token.new"));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&new)?.write_all(token.0.as_bytes())?;
        fs::rename(new, path)?;
        Ok(token)
    }

    /// Reads that of the broker that runs on a data directory.
    pub fn read(data_dir: &Path) -> io::Result<Self> {
        Ok(Self(fs::read_to_string(data_dir.join(TOKEN_FILE))?.trim().to_owned()))
    }

    /// Whether the value of an `Authorization` header shows this token.
    pub fn is_shown_by(&self, authorization: &[u8]) -> bool {
        let presented = authorization.strip_prefix(b"Bearer ").unwrap_or_default();
        bool::from(presented.ct_eq(self.0.as_bytes()))
    }

    /// The token, for its owner.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of an `Authorization` header that shows it.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl std::fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiToken(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_the_owner_alone_new_at_each_start_and_never_shown() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let first = ApiToken::create(directory.path()).unwrap();
        let second = ApiToken::create(directory.path()).unwrap();
        let mode = fs::metadata(directory.path().join(TOKEN_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = ApiToken::read(directory.path()).unwrap();
        assert!(second.is_shown_by(read.authorization().as_bytes()));
        assert!(!first.is_shown_by(read.authorization().as_bytes()));
        assert!(!second.is_shown_by(b"") && !second.is_shown_by(b"Bearer "));
        assert!(!format!("{second:?}").contains(&second.0));
    }
}
