//! One output stream that never panics: a closed pipe ends it quietly, any other error is kept for the end.

use std::io::{self, Write};

pub(super) struct Stream {
    to: Box<dyn Write>,
    closed: bool,
    error: Option<io::Error>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("closed", &self.closed)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl Stream {
    #[expect(clippy::disallowed_methods, reason = "this room owns the terminal")]
    pub(super) fn stdout() -> Self {
        Self::new(Box::new(io::stdout()))
    }

    #[expect(clippy::disallowed_methods, reason = "this room owns the terminal")]
    pub(super) fn stderr() -> Self {
        Self::new(Box::new(io::stderr()))
    }

    fn new(to: Box<dyn Write>) -> Self {
        Self {
            to,
            closed: false,
            error: None,
        }
    }

    pub(super) fn write(&mut self, text: &str) {
        if self.closed {
            return;
        }
        let result = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush());
        self.keep(result);
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The first error that was not a closed pipe; asking for it takes it.
    pub(super) fn finish(&mut self) -> Option<io::Error> {
        let result = if self.closed { Ok(()) } else { self.to.flush() };
        self.keep(result);
        self.error.take()
    }

    fn keep(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.error.get_or_insert(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let mut stream = Stream::new(Box::new(Broken(io::ErrorKind::BrokenPipe)));
        stream.write("x");
        stream.write("y");
        assert!(stream.finish().is_none());
    }

    #[test]
    fn a_full_disk_is_kept_for_the_end() {
        let mut stream = Stream::new(Box::new(Broken(io::ErrorKind::StorageFull)));
        stream.write("x");
        assert_eq!(stream.finish().map(|e| e.kind()), Some(io::ErrorKind::StorageFull));
    }
}
