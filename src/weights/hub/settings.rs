//! Which hub, as whom, and how patiently.

use std::time::Duration;

use super::super::remote::{hub_home, set};
use crate::error::{Error, Result};

/// The hub where nothing else is said.
const ENDPOINT: &str = "https://huggingface.co";
/// How long a silent server is waited for where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause after the first break where nothing else is said.
const PAUSE: Duration = Duration::from_secs(1);
/// Values of `HF_HUB_OFFLINE` that mean no.
const NO: [&str; 4] = ["0", "false", "no", "off"];

/// Which hub, as whom, and how patiently.
#[derive(Clone)]
pub struct Settings {
    /// Where the hub is: a URL without a `/` at its end.
    pub endpoint: String,
    /// The secret that says who asks.
    pub token: Option<String>,
    /// How long a silent server is waited for.
    pub patience: Duration,
    /// The pause before a broken transfer goes on; it doubles from attempt to attempt.
    pub pause: Duration,
}

impl Settings {
    /// What the variables of the hub's own programs say: `HF_ENDPOINT`, and `HF_TOKEN` or the file in which a login has left the token. `HF_HUB_OFFLINE`
    /// is heeded.
    ///
    /// # Errors
    /// An endpoint that is no URL, a token that cannot be sent, and a machine that is to stay offline.
    pub fn from_env() -> Result<Self> {
        let text = |variable: &str| set(variable).map(|value| value.to_string_lossy().into_owned());
        if let Some(offline) = text("HF_HUB_OFFLINE").filter(|value| !NO.contains(&value.to_lowercase().as_str())) {
            let hint = "unset HF_HUB_OFFLINE to let stir fetch files";
            return Err(Error::input("HF_HUB_OFFLINE", "to be allowed to use the network", offline, hint));
        }
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()).trim_end_matches('/').to_owned();
        let host = ["https://", "http://"].iter().find_map(|scheme| endpoint.strip_prefix(scheme));
        if host.is_none_or(str::is_empty) || !endpoint.bytes().all(|byte| byte.is_ascii_graphic()) {
            let hint = format!("unset it for {ENDPOINT}");
            return Err(Error::input("HF_ENDPOINT", "a URL that begins with https:// or http://", endpoint, hint));
        }
        let token = match text("HF_TOKEN") {
            Some(token) => Some(token),
            None => std::fs::read_to_string(hub_home()?.join("token")).ok(),
        };
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            // It is a secret: not a letter of it is repeated.
            let hint = "copy it again from https://huggingface.co/settings/tokens";
            return Err(Error::input("HF_TOKEN", "letters and digits", "other characters among them", hint));
        }
        Ok(Self { endpoint, token, patience: PATIENCE, pause: PAUSE })
    }

    /// The endpoint without any path.
    pub(super) fn host(&self) -> &str {
        let start = self.endpoint.find("://").map_or(0, |scheme| scheme + 3);
        let end = self.endpoint[start..].find('/').map_or(self.endpoint.len(), |path| start + path);
        &self.endpoint[..end]
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "...");
        f.debug_struct("Settings").field("endpoint", &self.endpoint).field("token", &token).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown_and_a_path_is_no_part_of_the_host() {
        let endpoint = "https://mirror.example/hub".to_owned();
        let settings =
            Settings { endpoint, token: Some("hf_secret".to_owned()), patience: Duration::ZERO, pause: Duration::ZERO };
        assert!(!format!("{settings:?}").contains("hf_secret"));
        assert_eq!(settings.host(), "https://mirror.example");
        let endpoint = "http://127.0.0.1:80".to_owned();
        assert_eq!(Settings { endpoint, ..settings }.host(), "http://127.0.0.1:80");
    }
}
