//! What to say when the hub does not give what was asked for.

use ureq::Body;
use ureq::http::{Response, StatusCode};

use super::super::remote::RemoteFile;
use super::Hub;
use crate::error::Error;

impl Hub {
    /// The error for an answer other than the file.
    pub(super) fn refused(&self, file: &RemoteFile, answer: &Response<Body>) -> Error {
        let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        let status = answer.status();
        let found = match header("x-error-code") {
            Some(code) => format!("{status} ({code})"),
            None => status.to_string(),
        };
        let page = format!("{}/{}", self.settings.endpoint, file.repository);
        let (wanted, hint) = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.settings.token.is_none() => (
                "permission to read it",
                format!(
                    "open {page}, log in and accept the licence if it asks; then make a token at \
                     {}/settings/tokens and set HF_TOKEN to it",
                    self.settings.endpoint
                ),
            ),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
                "permission to read it",
                format!(
                    "the token (HF_TOKEN, or that of a login) does not give it: open {page} as its owner and accept the \
                     licence if it asks, and check that the token is valid and may read"
                ),
            ),
            StatusCode::NOT_FOUND => (
                "the file",
                format!(
                    "look at {page} for what became of it; a newer stir may know its new place, and a file fetched by \
                     hand is named by --model PATH"
                ),
            ),
            StatusCode::TOO_MANY_REQUESTS => ("the file", self.wait(header("retry-after"))),
            _ if status.is_server_error() => (
                "the file",
                "the hub has a fault: try again later; the same command goes on where it stopped".to_owned(),
            ),
            _ => ("the file", format!("check HF_ENDPOINT, if it is set, and whether {page} opens in a browser")),
        };
        Error::run(self.thing(file), wanted, found, hint)
    }

    /// What to do about too many requests. `seconds`: what the hub says of it.
    fn wait(&self, seconds: Option<String>) -> String {
        let wait = match seconds.and_then(|seconds| seconds.trim().parse::<u64>().ok()) {
            Some(seconds) => format!("wait {seconds} seconds"),
            None => "wait some minutes".to_owned(),
        };
        let who = if self.settings.token.is_none() { "; with HF_TOKEN set, the hub allows more" } else { "" };
        format!("there were too many requests from here: {wait}, then run the same command again{who}")
    }

    /// The error for a hub from which no answer comes.
    pub(super) fn unreachable(&self, error: &ureq::Error) -> Error {
        let found = reason(error);
        let hint = if found.contains("certificate") {
            "check the clock and the machine's certificates; where a proxy looks into connections, SSL_CERT_FILE names \
             the file with its certificate"
        } else {
            "check the network connection, and HTTPS_PROXY and HF_ENDPOINT where they are set; models on disk need no \
             network"
        };
        Error::run(format!("the hub {}", self.settings.endpoint), "an answer", found, hint)
    }
}

/// Why a request failed, in a few words.
pub(super) fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "no host of that name".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(_) => "silence for too long".to_owned(),
        other => other.to_string(),
    }
}
