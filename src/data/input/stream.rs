//! Opening a file for streaming: unpacking, progress, and errors that say what is wrong.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use super::files::{InputFile, Packing};
use crate::{Error, Result};

/// Is told how far a long reading has come.
pub trait Observer {
    /// A part of the work begins, over so many bytes of files as they are stored.
    fn stage(&mut self, name: &str, bytes: u64);

    /// So many more bytes were read. An error ends the work: this is how an interrupt comes in.
    fn advance(&mut self, bytes: u64) -> Result<()>;
}

/// Nobody watches.
impl Observer for () {
    fn stage(&mut self, _name: &str, _bytes: u64) {}

    fn advance(&mut self, _bytes: u64) -> Result<()> {
        Ok(())
    }
}

/// The largest window of zstd's format with `--long`: 2^31 bytes. The decoder keeps that much of
/// the text in memory, but touches only as much of it as there is text.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

/// Windows up to 2^30 bytes are read to their end; larger ones only as far as this.
const WIDE_WINDOW_BYTES_MAX: u64 = 1 << 30;

const BUFFER_BYTES: usize = 1 << 18;

/// An unpacked file, read in order.
pub(super) struct Stream {
    reader: Box<dyn BufRead>,
    packing: Packing,
    stored_bytes: Rc<Cell<u64>>,
    reported_bytes: u64,
}

/// Counts the bytes of the file as it is stored, which is what the progress is measured in.
struct Counted {
    file: File,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

const GZIP: &[u8] = &[0x1F, 0x8B];
const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];

/// An error if a file is packed in another way than its name says, or is no UTF-8 at all: what
/// comes of reading it so would be told as damage.
fn check_start(packing: Packing, start: &[u8]) -> Result<()> {
    let found = [(GZIP, "gzip", ".gz"), (ZSTD, "zstd", ".zst")]
        .into_iter()
        .find(|(magic, ..)| start.starts_with(magic));
    match (packing, found) {
        (Packing::Plain, Some((_, name, ending))) => {
            Err(Error::data(format!("the file is packed by {name}, and its name does not say so"))
                .hint(format!("rename it so that it ends in `{ending}`")))
        }
        (Packing::Plain, None) if matches!(start, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) => {
            Err(Error::data("the file is UTF-16, not UTF-8")
                .hint("convert it: `iconv -f UTF-16 -t UTF-8 in > out`"))
        }
        (Packing::Gzip, Some((_, "zstd", _))) => {
            Err(Error::data("the file is packed by zstd")
                .hint("rename it so that it ends in `.zst`"))
        }
        (Packing::Zstd, Some((_, "gzip", _))) => {
            Err(Error::data("the file is packed by gzip")
                .hint("rename it so that it ends in `.gz`"))
        }
        (Packing::Gzip, None) if starts_like_text(start) => Err(not_packed("gzip", ".gz")),
        (Packing::Zstd, None) if starts_like_text(start) => Err(not_packed("zstd", ".zst")),
        _ => Ok(()),
    }
}

fn not_packed(name: &str, ending: &str) -> Error {
    Error::data(format!("the {name} stream is damaged: the file is not packed at all"))
        .hint(format!("download it again, or rename it without `{ending}`"))
}

fn starts_like_text(start: &[u8]) -> bool {
    let start = &start[..start.len().min(64)];
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    start.len() > 8 && start.iter().all(is_text)
}

/// Whether a zstd file begins with a frame whose window is larger than 2^30 bytes.
fn has_wide_window(start: &[u8]) -> bool {
    match *start {
        // A frame without a window is as large as its content, which is decoded in one piece.
        [0x28, 0xB5, 0x2F, 0xFD, descriptor, window, ..] if descriptor & 0x20 == 0 => {
            window > 20 << 3
        }
        _ => false,
    }
}

/// An unpacking that may not give more than so many bytes.
struct Bounded<R> {
    decoder: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::new(io::ErrorKind::OutOfMemory, WIDE_WINDOW)),
        }
        Ok(read)
    }
}

const WIDE_WINDOW: &str = "its window of 2 GiB does not fit in memory";

impl Stream {
    pub(super) fn open(input: &InputFile) -> Result<Self> {
        let failed = |cause: io::Error| Error::data(format!("failed to open: {cause}"));
        let file = File::open(&input.path).map_err(failed)?;
        let stored_bytes = Rc::new(Cell::new(0));
        let counted = Counted { file, bytes: Rc::clone(&stored_bytes) };
        let mut counted = BufReader::with_capacity(BUFFER_BYTES, counted);
        check_start(input.packing, counted.fill_buf().map_err(failed)?)?;
        let reader: Box<dyn BufRead> = match input.packing {
            Packing::Plain => Box::new(counted),
            Packing::Gzip => Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                flate2::bufread::MultiGzDecoder::new(counted),
            )),
            Packing::Zstd => {
                let wide = has_wide_window(counted.fill_buf().map_err(failed)?);
                let mut decoder = zstd::Decoder::with_buffer(counted).map_err(failed)?;
                let (window_log, left) = match wide {
                    true => (ZSTD_WINDOW_LOG_MAX, WIDE_WINDOW_BYTES_MAX),
                    // A later frame with a wide window would go unseen.
                    false => (ZSTD_WINDOW_LOG_MAX - 1, u64::MAX),
                };
                decoder.window_log_max(window_log).map_err(failed)?;
                Box::new(BufReader::with_capacity(BUFFER_BYTES, Bounded { decoder, left }))
            }
        };
        Ok(Self { reader, packing: input.packing, stored_bytes, reported_bytes: 0 })
    }

    /// The next bytes, as many as are at hand; empty at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8]> {
        let packing = self.packing;
        self.reader.fill_buf().map_err(|cause| describe(packing, &cause))
    }

    /// Takes bytes that [`Stream::fill`] showed.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
    }

    /// Appends the next line to `line`, its end included, up to `limit` bytes in all. At the end of
    /// the file nothing is appended.
    pub(super) fn line(&mut self, line: &mut Vec<u8>, limit: usize) -> Result<()> {
        let room = limit.saturating_sub(line.len()) as u64;
        let packing = self.packing;
        (&mut self.reader)
            .take(room)
            .read_until(b'\n', line)
            .map(drop)
            .map_err(|cause| describe(packing, &cause))
    }

    /// Tells the observer what was read since it was told last.
    pub(super) fn report(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let bytes = self.stored_bytes.get();
        let read = bytes - self.reported_bytes;
        self.reported_bytes = bytes;
        observer.advance(read)
    }
}

fn describe(packing: Packing, cause: &io::Error) -> Error {
    let name = match packing {
        Packing::Plain => return Error::data(format!("failed to read: {cause}")),
        Packing::Gzip => "gzip",
        Packing::Zstd => "zstd",
    };
    if cause.kind() == io::ErrorKind::OutOfMemory || cause.to_string().contains("memory") {
        return Error::data(format!("the {name} stream was packed with `--long`: {cause}"))
            .hint("pack it again: `zstd -dc --long=31 in.zst | zstd -o out.zst`");
    }
    if cause.kind() == io::ErrorKind::UnexpectedEof {
        return Error::data(format!("the {name} stream ends early: the file is cut short"))
            .hint("download or pack the file again");
    }
    Error::data(format!("the {name} stream is damaged: {cause}"))
        .hint("download or pack the file again")
}
