//! An HTTP server on this machine that answers as the Hugging Face hub does, and remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// The commit that every branch is at.
pub const COMMIT: &str = "5ca1ab1e0ddba115ca1ab1e0ddba115ca1ab1e00";
/// Where contents are, apart from the hub itself.
const CONTENTS: &str = "/contents";

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method and path, such as `HEAD /owner/name/resolve/main/file`.
    pub line: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Whether it asks for a content, and not the hub itself.
    pub fn is_transfer(&self) -> bool {
        self.line.starts_with(&format!("GET {CONTENTS}"))
    }

    fn read(stream: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let line = lines.next()?.rsplit_once(' ')?.0.to_owned();
        let header = |line: String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers = lines.take_while(|line| !line.is_empty()).filter_map(header).collect();
        Some(Self { line, headers })
    }
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// After how many bytes of the body the connection is closed, if before its end.
    pub cut: Option<usize>,
    /// How long the server is silent before it closes the connection.
    pub silence: Duration,
}

impl Answer {
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn with(mut self, header: &'static str, value: &str) -> Self {
        self.headers.retain(|(name, _)| *name != header);
        self.headers.push((header, value.to_owned()));
        self
    }

    fn write(&self, stream: &mut TcpStream, is_head: bool) {
        let mut text = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", self.status);
        let length = self.body.len();
        text += &format!("Content-Length: {length}\r\n");
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        let body = if is_head { &[] } else { &self.body[..self.cut.unwrap_or(length)] };
        // A client that has gone away is its own affair.
        stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(body)).and_then(|()| stream.flush()).ok();
        std::thread::sleep(self.silence);
    }
}

/// The server; it answers until the program ends.
pub struct HubServer {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl HubServer {
    /// A server that answers by this function, which also gets the number of requests for contents that came before.
    pub fn start(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (remembered, answer) = (requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (remembered, answer) = (remembered.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let read = Request::read(&stream);
                    let is_head = read.as_ref().is_some_and(|request| request.line.starts_with("HEAD"));
                    let asked = read.unwrap_or_else(|| Request { line: "none".to_owned(), headers: Vec::new() });
                    let before = {
                        let mut requests = remembered.lock().unwrap();
                        requests.push(asked.clone());
                        requests[..requests.len() - 1].iter().filter(|request| request.is_transfer()).count()
                    };
                    answer(&asked, before).write(&mut stream, is_head);
                });
            }
        });
        Self { address, requests }
    }

    /// What HF_ENDPOINT names.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// What the hub answers for a file of this content, wherever it is: its own answers lead to another host, which has the content.
pub fn file_answer(request: &Request, content: &[u8]) -> Answer {
    let sum: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    if !request.is_transfer() {
        let port = request.header("host").unwrap().rsplit_once(':').unwrap().1;
        // Another name of this machine that every resolver knows without looking it up.
        return Answer::new(302)
            .with("Location", &format!("http://127.1:{port}{CONTENTS}/{sum}"))
            .with("X-Repo-Commit", COMMIT)
            .with("X-Linked-Etag", &format!("\"{sum}\""))
            .with("X-Linked-Size", &content.len().to_string());
    }
    let Some(range) = request.header("range") else { return Answer { body: content.to_vec(), ..Answer::new(200) } };
    let start: usize = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
    let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
    Answer { body: content[start..].to_vec(), ..Answer::new(206) }.with("Content-Range", &range)
}
