//! Container logs in CRI's form, `TIME STREAM F LINE`: written as lines come, read as `/containerLogs` asks.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::mpsc::Sender;

/// Writes down every line of this stream, with the time at which it came.
pub(super) fn keep(log: &Path, stream: &'static str, from: Option<impl AsyncRead + Unpin + Send + 'static>) {
    let (Some(from), log) = (from, log.to_owned()) else {
        return;
    };
    tokio::spawn(async move {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log");
        let (mut from, mut line) = (BufReader::new(from), Vec::new());
        while from.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
            let full = if line.ends_with(b"\n") { "F" } else { "P" };
            let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%9fZ");
            let mut whole = format!("{time} {stream} {full} ").into_bytes();
            whole.append(&mut line);
            if !whole.ends_with(b"\n") {
                whole.push(b'\n');
            }
            // One write, so that two streams do not mix within a line.
            file.write_all(&whole).expect("a log");
        }
    });
}

/// What `/containerLogs` was asked for.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) follow: bool,
    pub(super) timestamps: bool,
    pub(super) tail: Option<usize>,
    pub(super) since: Option<Timestamp>,
    pub(super) limit: Option<usize>,
}

impl Asked {
    pub(super) fn parse(query: &[(String, String)]) -> Self {
        let mut asked = Self::default();
        for (name, value) in query {
            match name.as_str() {
                "follow" => asked.follow = value == "true",
                "timestamps" => asked.timestamps = value == "true",
                "tailLines" => asked.tail = value.parse().ok(),
                "limitBytes" => asked.limit = value.parse().ok(),
                "sinceTime" => asked.since = value.parse().ok(),
                "sinceSeconds" => {
                    let seconds = value.parse().unwrap_or(0);
                    asked.since = Some(Timestamp::now() - jiff::SignedDuration::from_secs(seconds));
                }
                _ => {}
            }
        }
        asked
    }

    /// One line of the file as it is sent; none where it was not asked for.
    fn shown<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        let mut parts = line.splitn(4, ' ');
        let (time, _, _, rest) = (parts.next()?, parts.next(), parts.next(), parts.next()?);
        if self
            .since
            .is_some_and(|since| time.parse::<Timestamp>().is_ok_and(|time| time < since))
        {
            return None;
        }
        Some(if self.timestamps {
            vec![time, " ", rest]
        } else {
            vec![rest]
        })
    }
}

/// Sends what was asked for; with `follow`, until nobody listens.
pub(super) async fn send(log: PathBuf, asked: Asked, to: Sender<Vec<u8>>) {
    let (mut seen, mut sent) = (0, 0);
    let mut first = true;
    loop {
        let bytes = after(&log, seen).unwrap_or_default();
        let end = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let lines: Vec<String> = text
            .split_inclusive('\n')
            .filter_map(|line| asked.shown(line).map(|parts| parts.concat()))
            .collect();
        let skip = asked
            .tail
            .filter(|_| first)
            .map_or(0, |tail| lines.len().saturating_sub(tail));
        for line in &lines[skip..] {
            let room = asked
                .limit
                .map_or(line.len(), |limit| limit.saturating_sub(sent).min(line.len()));
            sent += room;
            if room == 0 || to.send(line.as_bytes()[..room].to_vec()).await.is_err() {
                return;
            }
        }
        (seen, first) = (seen + end as u64, false);
        if !asked.follow {
            return;
        }
        tokio::select! {
            () = to.closed() => return,
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}

/// What stands in a file from there on.
fn after(log: &Path, seen: u64) -> std::io::Result<Vec<u8>> {
    let (mut file, mut bytes) = (std::fs::File::open(log)?, Vec::new());
    file.seek(SeekFrom::Start(seen))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
