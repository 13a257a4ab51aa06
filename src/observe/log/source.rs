//! The door to log lines: files and standard input, read piece by piece.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{Line, Reader};
use crate::failure::{Failure, Kind};

/// The longest piece of a line that is kept in memory; a longer line comes in pieces, and none of it is lost.
pub const LONGEST: usize = 16 << 20;

/// Where lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// An open source: an iterator over its lines.
pub struct Source {
    name: String,
    place: usize,
    number: u64,
    reader: Reader,
    from: BufReader<Box<dyn Read>>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Opens it; `place` is its place among the sources.
    pub fn open(origin: &Origin, place: usize, reader: Reader) -> Result<Self, Failure> {
        let (name, from): (String, Box<dyn Read>) = match origin {
            Origin::Stdin => ("stdin".to_owned(), Box::new(io::stdin())),
            Origin::File(path) => (path.display().to_string(), Box::new(open(path)?)),
        };
        Ok(Self::new(name, place, reader, from))
    }

    fn new(name: String, place: usize, reader: Reader, from: Box<dyn Read>) -> Self {
        let from = BufReader::with_capacity(1 << 16, from);
        Self {
            name,
            place,
            number: 0,
            reader,
            from,
        }
    }

    /// Its name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A line without its end, and whether it is a piece of a longer one.
    fn piece(&mut self) -> io::Result<Option<(Vec<u8>, bool)>> {
        let (mut bytes, mut cut) = (Vec::new(), false);
        let limit = LONGEST as u64;
        if self.from.by_ref().take(limit).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        if bytes.pop_if(|last| *last == b'\n').is_some() {
            bytes.pop_if(|last| *last == b'\r');
        } else {
            cut = bytes.len() == LONGEST;
        }
        if self.number == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        Ok(Some((bytes, cut)))
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    let file = File::open(path).map_err(|error| Failure::io("read", path, error))?;
    let meta = file.metadata().map_err(|error| Failure::io("read", path, error))?;
    if meta.is_dir() {
        let message = format!("cannot read `{}`: it is a directory", path.display());
        return Err(Failure::new(Kind::Io, message).hint(format!("msctl logs {}/*.log", path.display())));
    }
    Ok(file)
}

impl Iterator for Source {
    type Item = Result<Line, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let (bytes, cut) = match self.piece() {
            Ok(piece) => piece?,
            Err(error) => return Some(Err(Failure::io("read", &self.name, error))),
        };
        self.number += 1;
        let record = self.reader.read(&bytes);
        Some(Ok(Line {
            source: self.place,
            number: self.number,
            more: memchr::memchr(b'\n', self.from.buffer()).is_some(),
            bytes,
            cut,
            record,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Line> {
        let from = Box::new(io::Cursor::new(bytes.to_vec()));
        let source = Source::new("x".into(), 0, Reader::new(&[]), from);
        source.map(Result::unwrap).collect()
    }

    #[test]
    fn line_ends_of_every_kind() {
        let found: Vec<Vec<u8>> = lines(b"\xef\xbb\xbfa\r\n\nb\rc\n\x00\xff\nlast")
            .into_iter()
            .map(|l| l.bytes)
            .collect();
        let want: [&[u8]; 5] = [b"a", b"", b"b\rc", b"\x00\xff", b"last"];
        assert_eq!(found, want);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_line_longer_than_memory_comes_in_pieces_and_whole() {
        let mut bytes = vec![b'x'; LONGEST + 5];
        bytes.extend(b"\nnext\n");
        let found: Vec<(usize, bool)> = lines(&bytes).iter().map(|l| (l.bytes.len(), l.cut)).collect();
        assert_eq!(found, [(LONGEST, true), (5, false), (4, false)]);
    }

    #[test]
    fn a_line_knows_whether_the_next_one_is_at_hand() {
        let more: Vec<bool> = lines(b"a\nb\nc").iter().map(|l| l.more).collect();
        assert_eq!(more, [true, false, false]);
    }
}
