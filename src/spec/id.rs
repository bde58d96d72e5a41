//! Identities: a job is its spec's hash, a corpus is its content's hash, and nothing else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::quoted;
use crate::{Error, Result};

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The identity of these canonical bytes.
            #[must_use]
            pub fn of(bytes: &[u8]) -> Self {
                Self(*blake3::hash(bytes).as_bytes())
            }

            /// The identity whose hash was computed elsewhere, piece by piece.
            #[must_use]
            pub fn from_hash(hash: blake3::Hash) -> Self {
                Self(*hash.as_bytes())
            }

            /// The first 12 hexadecimal digits: enough for people.
            #[must_use]
            pub fn short(&self) -> String {
                self.to_string()[..12].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.short())
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                blake3::Hash::from_hex(text).map(Self::from_hash).map_err(|_| {
                    Error::usage(format!(
                        "`{}` is not a {} id: 64 hexadecimal digits were expected",
                        quoted(text),
                        $noun
                    ))
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

identity!(
    /// The identity of a job and of the record that it leaves: the BLAKE3 hash of the canonical
    /// text of its resolved spec.
    JobId,
    "job"
);

identity!(
    /// The identity of a corpus: the BLAKE3 hash of its tokens, document offsets and tokenizer.
    CorpusId,
    "corpus"
);

identity!(
    /// The identity of a side set: the BLAKE3 hash of its tokens, document offsets and tokenizer.
    SideId,
    "side set"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_survive_text_and_reject_other_text() {
        let id = JobId::of(b"abc");
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        assert_eq!(id.short(), "6437b3ac3846");
        assert!("6437b3ac3846".parse::<JobId>().is_err());
        assert!(CorpusId::from_str(&"x".repeat(64)).is_err());
    }
}
