//! JSON lines: one object per line, whose text field is one document.

use std::ops::ControlFlow;

use super::Pass;
use super::files::InputFile;
use super::json::{LINE_BYTES_MAX, Objects};
use super::stream::Stream;
use super::text::decode_whole;
use crate::{Error, Result};

pub(super) fn visit(input: &InputFile, pass: &mut Pass<'_, String>) -> Result<ControlFlow<()>> {
    let mut stream = Stream::open(input)?;
    let mut objects = Objects::new(pass.reading);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        stream.line(&mut line, LINE_BYTES_MAX)?;
        stream.report(pass.observer)?;
        if line.is_empty() {
            break;
        }
        if line.len() == LINE_BYTES_MAX {
            let most = LINE_BYTES_MAX >> 20;
            return Err(Error::data(format!("the line is longer than {most} MiB"))
                .at_line(number)
                .hint("a `.jsonl` file has one document per line; `--format json` reads others"));
        }
        let text = decode_whole(&line, pass, |at| format!("byte {at}"))
            .map_err(|error| error.at_line(number))?;
        let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { &text };
        if text.trim().is_empty() {
            continue;
        }
        if objects.visit(text, number, pass)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    objects.end()?;
    Ok(ControlFlow::Continue(()))
}
