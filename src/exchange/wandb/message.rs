//! Just enough of the protocol-buffer wire format to read a few fields of a message.
//!
//! Lengths are checked against what is there; nothing is allocated on the word of a file.

use crate::{Error, Result};

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Integers and booleans.
    Varint(u64),
    /// `double` and 64-bit integers of fixed length, as bits.
    Fixed64(u64),
    /// `float` and 32-bit integers of fixed length, as bits.
    Fixed32(u32),
    /// Texts, bytes and messages.
    Bytes(&'a [u8]),
}

/// The fields of a message in order, each with its number.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of these bytes.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::data("a number of more than ten bytes"))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Error::data("a field is longer than its message")),
        }
    }

    fn field(&mut self) -> Result<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(array(self.take(8)?))),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(array(self.take(4)?))),
            kind => return Err(Error::data(format!("wire type {kind} is not read"))),
        };
        Ok((key >> 3, value))
    }
}

/// The bytes as an array; `take` has given as many as were asked for.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the length was asked for")
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            // After a wrong field nothing else can be told apart.
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! A small writer of messages, for tests.

    /// A message under construction.
    #[derive(Clone, Debug, Default)]
    pub(in super::super) struct Message(pub(in super::super) Vec<u8>);

    impl Message {
        pub(in super::super) fn varint(mut self, mut value: u64) -> Self {
            while value >= 0x80 {
                self.0.push(value as u8 | 0x80);
                value >>= 7;
            }
            self.0.push(value as u8);
            self
        }

        pub(in super::super) fn number(self, field: u64, value: u64) -> Self {
            self.varint(field << 3).varint(value)
        }

        pub(in super::super) fn double(self, field: u64, value: f64) -> Self {
            let mut message = self.varint(field << 3 | 1);
            message.0.extend(value.to_le_bytes());
            message
        }

        pub(in super::super) fn bytes(self, field: u64, value: &[u8]) -> Self {
            let mut message = self.varint(field << 3 | 2).varint(value.len() as u64);
            message.0.extend(value);
            message
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Message;
    use super::*;

    #[test]
    fn fields_are_read() {
        let inner = Message::default().number(1, 300);
        let message = Message::default().bytes(2, &inner.0).double(6, 1.5).number(200, u64::MAX);
        let fields: Vec<_> = Fields::of(&message.0).map(Result::unwrap).collect();
        assert_eq!(fields[0], (2, Value::Bytes(&inner.0)));
        assert_eq!(fields[1], (6, Value::Fixed64(1.5_f64.to_bits())));
        assert_eq!(fields[2], (200, Value::Varint(u64::MAX)));
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let refuse = |bytes: &[u8], expected: &str| {
            let error = Fields::of(bytes).find_map(Result::err).expect("an error").to_string();
            assert!(error.contains(expected), "{error}");
        };
        refuse(&Message::default().varint(10).varint(u64::MAX).0, "longer than its message");
        refuse(&Message::default().varint(10).varint(5).0, "longer than its message");
        refuse(&[0x08], "longer than its message");
        refuse(&[0xff; 20], "more than ten bytes");
        refuse(&[0x0b], "wire type 3");
        refuse(&[0x09, 1, 2], "longer than its message");
    }
}
