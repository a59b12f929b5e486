//! The frames of the control plane: small, fixed little-endian layouts, none of which carries a row.

use std::fmt;

use super::error::HandoverError;

/// Version of the protocol, the same on both ends.
pub(super) const VERSION: u16 = 1;

/// No frame is longer.
pub(super) const MAX_FRAME: usize = 4096;

const MAGIC: [u8; 8] = *b"OTTAVA\0H";

/// Why a server that knows who asks does not admit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The ends speak different versions of the protocol.
    Version,
    /// One end is in trusted mode, the other in sealed mode.
    Mode,
    /// The schemas differ.
    Schema,
    /// Another consumer is connected.
    Busy,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "it speaks another version of the protocol",
            Self::Mode => "one end is in trusted mode and the other in sealed mode",
            Self::Schema => "its schema is another one",
            Self::Busy => "another consumer is connected",
        })
    }
}

/// Where the bytes of a segment are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carrier {
    /// In the memory that came with this slot before (trusted mode).
    Known,
    /// In the descriptor that is attached to the frame.
    Attached,
    /// In the file of this name in the server's directory.
    File(String),
}

/// One message between the ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// Consumer: who I am and what I accept.
    Hello { version: u16, trusted: bool, nonce: [u8; 16], proof: [u8; 32], schema: [u8; 32] },
    /// Producer: I am the one you look for, and you are admitted.
    Welcome { trusted: bool, slots: u32, proof: [u8; 32], schema: [u8; 32], directory: Vec<u8> },
    /// Producer: I am the one you look for, but no.
    Refused { refusal: Refusal },
    /// Producer: a table.
    Segment { slot: u32, generation: u64, bytes: u64, carrier: Carrier },
    /// Consumer: done with a table. Its slot is the producer's again.
    Release { slot: u32, generation: u64 },
    /// Producer: no more tables.
    Goodbye,
    /// Consumer: I take no more tables. One bit per slot whose table I have, and will release.
    Leave { held: u64 },
}

impl Frame {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        match self {
            Self::Hello { version, trusted, nonce, proof, schema } => {
                out.push(1);
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&version.to_le_bytes());
                out.push(u8::from(*trusted));
                out.extend_from_slice(nonce);
                out.extend_from_slice(proof);
                out.extend_from_slice(schema);
            }
            Self::Welcome { trusted, slots, proof, schema, directory } => {
                out.push(2);
                out.push(u8::from(*trusted));
                out.extend_from_slice(&slots.to_le_bytes());
                out.extend_from_slice(proof);
                out.extend_from_slice(schema);
                out.extend_from_slice(directory);
            }
            Self::Refused { refusal } => {
                out.push(3);
                out.push(match refusal {
                    Refusal::Version => 0,
                    Refusal::Mode => 1,
                    Refusal::Schema => 2,
                    Refusal::Busy => 3,
                });
            }
            Self::Segment { slot, generation, bytes, carrier } => {
                out.push(4);
                out.extend_from_slice(&slot.to_le_bytes());
                out.extend_from_slice(&generation.to_le_bytes());
                out.extend_from_slice(&bytes.to_le_bytes());
                match carrier {
                    Carrier::Known => out.push(0),
                    Carrier::Attached => out.push(1),
                    Carrier::File(name) => {
                        out.push(2);
                        out.extend_from_slice(name.as_bytes());
                    }
                }
            }
            Self::Release { slot, generation } => {
                out.push(5);
                out.extend_from_slice(&slot.to_le_bytes());
                out.extend_from_slice(&generation.to_le_bytes());
            }
            Self::Goodbye => out.push(6),
            Self::Leave { held } => {
                out.push(7);
                out.extend_from_slice(&held.to_le_bytes());
            }
        }
        out
    }

    /// Reads a whole frame; anything left over is a fault.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HandoverError> {
        let mut input = Input(bytes);
        let frame = match u8::from_le_bytes(input.take()?) {
            1 => {
                if input.take::<8>()? != MAGIC {
                    return Err(HandoverError::protocol("its first frame is not ours"));
                }
                Self::Hello {
                    version: u16::from_le_bytes(input.take()?),
                    trusted: input.flag()?,
                    nonce: input.take()?,
                    proof: input.take()?,
                    schema: input.take()?,
                }
            }
            2 => Self::Welcome {
                trusted: input.flag()?,
                slots: u32::from_le_bytes(input.take()?),
                proof: input.take()?,
                schema: input.take()?,
                directory: input.rest().to_vec(),
            },
            3 => Self::Refused {
                refusal: match u8::from_le_bytes(input.take()?) {
                    0 => Refusal::Version,
                    1 => Refusal::Mode,
                    2 => Refusal::Schema,
                    3 => Refusal::Busy,
                    _ => return Err(HandoverError::protocol("an unknown refusal")),
                },
            },
            4 => Self::Segment {
                slot: u32::from_le_bytes(input.take()?),
                generation: u64::from_le_bytes(input.take()?),
                bytes: u64::from_le_bytes(input.take()?),
                carrier: match u8::from_le_bytes(input.take()?) {
                    0 => Carrier::Known,
                    1 => Carrier::Attached,
                    2 => Carrier::File(file_name(input.rest())?),
                    _ => return Err(HandoverError::protocol("an unknown carrier")),
                },
            },
            5 => Self::Release {
                slot: u32::from_le_bytes(input.take()?),
                generation: u64::from_le_bytes(input.take()?),
            },
            6 => Self::Goodbye,
            7 => Self::Leave { held: u64::from_le_bytes(input.take()?) },
            kind => return Err(HandoverError::protocol(format!("a frame of unknown kind {kind}"))),
        };
        if input.0.is_empty() {
            Ok(frame)
        } else {
            Err(HandoverError::protocol("a frame that is too long"))
        }
    }
}

/// A name that cannot leave its directory: 32 hexadecimal digits.
fn file_name(bytes: &[u8]) -> Result<String, HandoverError> {
    if bytes.len() == 32 && bytes.iter().all(u8::is_ascii_hexdigit) {
        Ok(bytes.iter().copied().map(char::from).collect())
    } else {
        Err(HandoverError::protocol("a segment name that is not 32 hexadecimal digits"))
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], HandoverError> {
        let (head, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| HandoverError::protocol("a frame that is too short"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn flag(&mut self) -> Result<bool, HandoverError> {
        match self.take::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(HandoverError::protocol("a flag that is neither 0 nor 1")),
        }
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        prop_oneof![
            (any::<u16>(), any::<bool>(), any::<[u8; 16]>(), any::<[u8; 32]>(), any::<[u8; 32]>())
                .prop_map(|(version, trusted, nonce, proof, schema)| Frame::Hello {
                    version,
                    trusted,
                    nonce,
                    proof,
                    schema
                }),
            (any::<bool>(), any::<u32>(), any::<[u8; 32]>(), any::<Vec<u8>>()).prop_map(
                |(trusted, slots, proof, directory)| Frame::Welcome {
                    trusted,
                    slots,
                    proof,
                    schema: proof,
                    directory
                }
            ),
            prop_oneof![
                Just(Refusal::Version),
                Just(Refusal::Mode),
                Just(Refusal::Schema),
                Just(Refusal::Busy)
            ]
            .prop_map(|refusal| Frame::Refused { refusal }),
            (
                any::<u32>(),
                any::<u64>(),
                any::<u64>(),
                prop_oneof![
                    Just(Carrier::Known),
                    Just(Carrier::Attached),
                    "[0-9a-f]{32}".prop_map(Carrier::File)
                ]
            )
                .prop_map(|(slot, generation, bytes, carrier)| Frame::Segment {
                    slot,
                    generation,
                    bytes,
                    carrier
                }),
            (any::<u32>(), any::<u64>())
                .prop_map(|(slot, generation)| Frame::Release { slot, generation }),
            Just(Frame::Goodbye),
            any::<u64>().prop_map(|held| Frame::Leave { held }),
        ]
    }

    proptest! {
        #[test]
        fn a_frame_is_read_as_it_was_written(frame in frames()) {
            let bytes = frame.encode();
            prop_assert_eq!(Frame::decode(&bytes).unwrap(), frame);
        }

        #[test]
        fn any_bytes_are_a_frame_or_a_typed_error(bytes in any::<Vec<u8>>()) {
            match Frame::decode(&bytes) {
                Ok(frame) => prop_assert_eq!(frame.encode(), bytes),
                Err(err) => {
                    let typed = matches!(err, HandoverError::Protocol { .. });
                    prop_assert!(typed);
                }
            }
        }

        #[test]
        fn a_cut_frame_is_refused(frame in frames(), cut in any::<prop::sample::Index>()) {
            let bytes = frame.encode();
            if let Ok(other) = Frame::decode(&bytes[..cut.index(bytes.len())]) {
                // Only the directory of a welcome may be shorter.
                let welcome = matches!(other, Frame::Welcome { .. });
                prop_assert!(welcome);
            }
        }
    }

    #[test]
    fn a_name_cannot_leave_its_directory() {
        for name in ["../../../../etc/passwd0123456789a", "", "0123"] {
            let mut bytes = vec![4; 1];
            bytes.extend_from_slice(&[0; 20]);
            bytes.push(2);
            bytes.extend_from_slice(name.as_bytes());
            assert!(Frame::decode(&bytes).is_err(), "{name}");
        }
    }
}
