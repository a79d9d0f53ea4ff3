//! Deterministic CBOR: the part of RFC 8949 that entries are written in, one encoding for each value.
//!
//! Integers, byte strings, text, arrays, maps, booleans and null. No floats, no tags and no lengths that are told
//! later: nothing here needs them, and what can be written in two ways could be hashed in two ways.

use std::fmt;

/// How deep arrays and maps may stand in each other. Entries need four.
pub const DEPTH_MAX: usize = 16;

/// A value.
///
/// ```
/// use ledger::cbor::Value;
///
/// let value = Value::map(vec![(Value::Unsigned(10), Value::Bool(true)), (Value::Unsigned(1), Value::Null)]);
/// assert_eq!(value.encode(), [0xa2, 0x01, 0xf6, 0x0a, 0xf5]);
/// assert_eq!(Value::decode(&value.encode()), Ok(value.clone()));
/// assert_eq!(value.to_string(), "{1: null, 10: true}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number that is not negative.
    Unsigned(u64),
    /// `Negative(n)` is the number -1 - n.
    Negative(u64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Text.
    Text(String),
    /// Values in their order.
    Array(Vec<Value>),
    /// Pairs of key and value, in the order of their encoded keys; [`Value::map`] sorts them.
    Map(Vec<(Value, Value)>),
    /// True or false.
    Bool(bool),
    /// Nothing.
    Null,
}

/// Why bytes are not a value in deterministic CBOR, and at which byte that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub wrong: Wrong,
    /// The index of the byte.
    pub offset: usize,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The bytes end within the value.
    Short,
    /// Bytes follow the value.
    Long,
    /// A float, a tag, a length told later, or a number of no meaning.
    Unsupported,
    /// The number could be written in fewer bytes.
    NotShortest,
    /// Text that is not UTF-8.
    NotText,
    /// A map's keys are not in order, or one is there twice.
    NotSorted,
    /// Deeper than [`DEPTH_MAX`].
    TooDeep,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = match self.wrong {
            Wrong::Short => "the bytes end within a value",
            Wrong::Long => "bytes follow the value",
            Wrong::Unsupported => "a kind of value that entries do not have",
            Wrong::NotShortest => "a number is not written in its shortest form",
            Wrong::NotText => "text is not UTF-8",
            Wrong::NotSorted => "the keys of a map are not in order",
            Wrong::TooDeep => "too many values in each other",
        };
        write!(f, "not deterministic CBOR: {wrong} (byte {})", self.offset)
    }
}

impl std::error::Error for DecodeError {}

// RFC 8949 §3.1: the major types, the upper three bits of an item's first byte.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const SIMPLE: u8 = 7;
// RFC 8949 §3.3: the simple values.
const FALSE: u64 = 20;
const TRUE: u64 = 21;
const NULL: u64 = 22;

impl Value {
    /// A map of these pairs.
    #[must_use]
    pub fn map(mut pairs: Vec<(Value, Value)>) -> Self {
        // RFC 8949 §4.2.1: the keys of a map stand in the bytewise order of their encodings.
        pairs.sort_by_cached_key(|(key, _)| key.encode());
        Self::Map(pairs)
    }

    /// Text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The bytes of this value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes);
        bytes
    }

    /// Appends the bytes of this value.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Unsigned(number) => write_head(UNSIGNED, *number, bytes),
            Self::Negative(number) => write_head(NEGATIVE, *number, bytes),
            Self::Bytes(content) => {
                write_head(BYTES, content.len() as u64, bytes);
                bytes.extend_from_slice(content);
            }
            Self::Text(content) => {
                write_head(TEXT, content.len() as u64, bytes);
                bytes.extend_from_slice(content.as_bytes());
            }
            Self::Array(values) => {
                write_head(ARRAY, values.len() as u64, bytes);
                values.iter().for_each(|value| value.encode_into(bytes));
            }
            Self::Map(pairs) => {
                write_head(MAP, pairs.len() as u64, bytes);
                for (key, value) in pairs {
                    key.encode_into(bytes);
                    value.encode_into(bytes);
                }
            }
            Self::Bool(value) => write_head(SIMPLE, if *value { TRUE } else { FALSE }, bytes),
            Self::Null => write_head(SIMPLE, NULL, bytes),
        }
    }

    /// The value that these bytes are, all of them.
    ///
    /// # Errors
    ///
    /// Where they are not one value in its one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder { bytes, offset: 0 };
        let value = decoder.value(0)?;
        match decoder.offset == bytes.len() {
            true => Ok(value),
            false => Err(decoder.error(Wrong::Long)),
        }
    }
}

/// RFC 8949 §4.2.1: a number, and each length, takes as few bytes as it can.
fn write_head(major: u8, number: u64, bytes: &mut Vec<u8>) {
    let major = major << 5;
    match number {
        0..=23 => bytes.push(major | number as u8),
        24..=0xff => bytes.extend_from_slice(&[major | 24, number as u8]),
        0x100..=0xffff => {
            bytes.push(major | 25);
            bytes.extend_from_slice(&(number as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            bytes.push(major | 26);
            bytes.extend_from_slice(&(number as u32).to_be_bytes());
        }
        _ => {
            bytes.push(major | 27);
            bytes.extend_from_slice(&number.to_be_bytes());
        }
    }
}

struct Decoder<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Decoder<'_> {
    fn error(&self, wrong: Wrong) -> DecodeError {
        DecodeError { wrong, offset: self.offset }
    }

    fn take(&mut self, length: usize) -> Result<&[u8], DecodeError> {
        let end = self.offset.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.error(Wrong::Short))?;
        let taken = &self.bytes[self.offset..end];
        self.offset = end;
        Ok(taken)
    }

    fn take_length(&mut self, length: u64) -> Result<&[u8], DecodeError> {
        let length = usize::try_from(length).map_err(|_| self.error(Wrong::Short))?;
        self.take(length)
    }

    /// The major type and the number of an item's head.
    fn head(&mut self) -> Result<(u8, u64), DecodeError> {
        let start = self.offset;
        let first = self.take(1)?[0];
        // RFC 8949 §3.3: behind a head of this type and more than 23 stand floats and unassigned values.
        if first >> 5 == SIMPLE && first & 0x1f > 23 {
            return Err(DecodeError { wrong: Wrong::Unsupported, offset: start });
        }
        let (number, least) = match first & 0x1f {
            short @ 0..=23 => (u64::from(short), 0),
            24 => (u64::from(self.take(1)?[0]), 24),
            25 => (self.number(2)?, 0x100),
            26 => (self.number(4)?, 0x1_0000),
            27 => (self.number(8)?, 0x1_0000_0000),
            _ => return Err(DecodeError { wrong: Wrong::Unsupported, offset: start }),
        };
        match number < least {
            true => Err(DecodeError { wrong: Wrong::NotShortest, offset: start }),
            false => Ok((first >> 5, number)),
        }
    }

    fn number(&mut self, length: usize) -> Result<u64, DecodeError> {
        Ok(self.take(length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let start = self.offset;
        let (major, number) = self.head()?;
        match major {
            UNSIGNED => Ok(Value::Unsigned(number)),
            NEGATIVE => Ok(Value::Negative(number)),
            BYTES => Ok(Value::Bytes(self.take_length(number)?.to_vec())),
            TEXT => {
                let text = String::from_utf8(self.take_length(number)?.to_vec());
                text.map(Value::Text).map_err(|_| DecodeError { wrong: Wrong::NotText, offset: start })
            }
            ARRAY | MAP if depth == DEPTH_MAX => Err(DecodeError { wrong: Wrong::TooDeep, offset: start }),
            // Nothing is reserved for a number of values that is only claimed.
            ARRAY => (0..number).map(|_| self.value(depth + 1)).collect::<Result<_, _>>().map(Value::Array),
            MAP => self.map(number, depth + 1),
            SIMPLE => match number {
                FALSE => Ok(Value::Bool(false)),
                TRUE => Ok(Value::Bool(true)),
                NULL => Ok(Value::Null),
                _ => Err(DecodeError { wrong: Wrong::Unsupported, offset: start }),
            },
            _ => Err(DecodeError { wrong: Wrong::Unsupported, offset: start }),
        }
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<Value, DecodeError> {
        let (mut pairs, mut previous) = (Vec::new(), 0..0);
        for index in 0..count {
            let start = self.offset;
            let key = self.value(depth)?;
            let encoded = start..self.offset;
            if index > 0 && self.bytes[encoded.clone()] <= self.bytes[previous] {
                return Err(DecodeError { wrong: Wrong::NotSorted, offset: start });
            }
            previous = encoded;
            pairs.push((key, self.value(depth)?));
        }
        Ok(Value::Map(pairs))
    }

    /// Passes over one item with all that is in it.
    fn skip(&mut self) -> Result<(), DecodeError> {
        let mut items = 1u64;
        // Each has one byte at least, whatever number of them is claimed.
        while items > 0 {
            let start = self.offset;
            let (major, number) = self.head()?;
            let inside = match major {
                UNSIGNED | NEGATIVE | SIMPLE => 0,
                BYTES | TEXT => self.take_length(number).map(|_| 0)?,
                ARRAY => number,
                MAP => number.saturating_mul(2),
                _ => return Err(DecodeError { wrong: Wrong::Unsupported, offset: start }),
            };
            items = (items - 1).saturating_add(inside);
        }
        Ok(())
    }
}

/// The fields of a map whose keys are numbers, each as it is written: nothing is made of them, and nothing in them is
/// checked. Ends where something else follows.
pub(crate) struct RawFields<'a> {
    decoder: Decoder<'a>,
    left: u64,
}

impl<'a> RawFields<'a> {
    /// `None` where the bytes are no map.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let mut decoder = Decoder { bytes, offset: 0 };
        match decoder.head() {
            Ok((MAP, left)) => Some(Self { decoder, left }),
            _ => None,
        }
    }
}

impl<'a> Iterator for RawFields<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (UNSIGNED, key) = self.decoder.head().ok()? else { return None };
        let start = self.decoder.offset;
        self.decoder.skip().ok()?;
        Some((key, &self.decoder.bytes[start..self.decoder.offset]))
    }
}

/// The number that these bytes are, where they are one that is not negative.
pub(crate) fn raw_number(bytes: &[u8]) -> Option<u64> {
    match (Decoder { bytes, offset: 0 }).head() {
        Ok((UNSIGNED, number)) => Some(number),
        _ => None,
    }
}

/// RFC 8949 §8: the diagnostic notation.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) => write!(f, "{number}"),
            Self::Negative(number) => write!(f, "{}", -1 - i128::from(*number)),
            Self::Bytes(bytes) => {
                f.write_str("h'")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str("'")
            }
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Array(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Map(pairs) => {
                f.write_str("{")?;
                for (index, (key, value)) in pairs.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
            Self::Bool(value) => write!(f, "{value}"),
            Self::Null => f.write_str("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 8949 Appendix A: the examples of the kinds that are here.
    const EXAMPLES: [(&str, &str); 31] = [
        ("0", "00"),
        ("1", "01"),
        ("10", "0a"),
        ("23", "17"),
        ("24", "1818"),
        ("25", "1819"),
        ("100", "1864"),
        ("1000", "1903e8"),
        ("1000000", "1a000f4240"),
        ("1000000000000", "1b000000e8d4a51000"),
        ("18446744073709551615", "1bffffffffffffffff"),
        ("-18446744073709551616", "3bffffffffffffffff"),
        ("-1", "20"),
        ("-10", "29"),
        ("-100", "3863"),
        ("-1000", "3903e7"),
        ("false", "f4"),
        ("true", "f5"),
        ("null", "f6"),
        ("h''", "40"),
        ("h'01020304'", "4401020304"),
        ("\"\"", "60"),
        ("\"a\"", "6161"),
        ("\"IETF\"", "6449455446"),
        ("\"\\\"\\\\\"", "62225c"),
        ("\"水\"", "63e6b0b4"),
        ("[]", "80"),
        ("[1, [2, 3], [4, 5]]", "8301820203820405"),
        ("{}", "a0"),
        ("{1: 2, 3: 4}", "a201020304"),
        ("{\"a\": 1, \"b\": [2, 3]}", "a26161016162820203"),
    ];

    #[test]
    fn the_examples_of_the_specification_read_and_write() {
        for (text, hex) in EXAMPLES {
            let value = Value::decode(&bytes(hex)).expect(text);
            assert_eq!(value.to_string(), text);
            assert_eq!(value.encode(), bytes(hex), "{text}");
        }
    }

    #[test]
    fn what_has_another_encoding_is_refused() {
        for (hex, wrong, offset) in [
            ("", Wrong::Short, 0),
            ("18", Wrong::Short, 1),
            ("4401", Wrong::Short, 1),
            ("5bffffffffffffffff", Wrong::Short, 9),
            ("9bffffffffffffffff", Wrong::Short, 9),
            ("0000", Wrong::Long, 1),
            ("1817", Wrong::NotShortest, 0),
            ("1900ff", Wrong::NotShortest, 0),
            ("1a0000ffff", Wrong::NotShortest, 0),
            ("1b00000000ffffffff", Wrong::NotShortest, 0),
            ("f90000", Wrong::Unsupported, 0),
            ("fb3ff199999999999a", Wrong::Unsupported, 0),
            ("c11a514b67b0", Wrong::Unsupported, 0),
            ("5f42010243030405ff", Wrong::Unsupported, 0),
            ("f7", Wrong::Unsupported, 0),
            ("61ff", Wrong::NotText, 0),
            ("a203040102", Wrong::NotSorted, 3),
            ("a201020103", Wrong::NotSorted, 3),
        ] {
            assert_eq!(Value::decode(&bytes(hex)), Err(DecodeError { wrong, offset }), "{hex}");
        }
    }

    #[test]
    fn values_stand_in_each_other_to_the_bound() {
        let nested = |depth: usize| [vec![0x81; depth], vec![0x00]].concat();
        assert!(Value::decode(&nested(DEPTH_MAX)).is_ok());
        let error = Value::decode(&nested(DEPTH_MAX + 1)).unwrap_err();
        assert_eq!(error, DecodeError { wrong: Wrong::TooDeep, offset: DEPTH_MAX });
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<u64>().prop_map(Value::Unsigned),
            any::<u64>().prop_map(Value::Negative),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
            ".{0,30}".prop_map(Value::Text),
            any::<bool>().prop_map(Value::Bool),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
                proptest::collection::vec((inner.clone(), inner), 0..8).prop_map(|mut pairs| {
                    pairs.sort_by_key(|(key, _)| key.encode());
                    pairs.dedup_by_key(|(key, _)| key.encode());
                    Value::map(pairs)
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same(value in any_value()) {
            prop_assert_eq!(Value::decode(&value.encode()), Ok(value));
        }

        #[test]
        fn what_reads_is_written_as_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = Value::decode(&bytes) {
                prop_assert_eq!(value.encode(), bytes);
            }
        }
    }
}
