//! A map with small numbers as its keys, and how each kind of field stands in it.

use crate::cbor::Value;
use std::net::{IpAddr, SocketAddr};

/// Something that can stand in a field.
pub trait Field: Sized {
    /// As a value.
    fn to_value(&self) -> Value;
    /// Of a value; `None` where it is of another kind, or out of range.
    fn of_value(value: &Value) -> Option<Self>;
}

/// A map's fields, in the order of their keys.
#[derive(Debug, Default)]
pub struct Fields {
    pairs: Vec<(u64, Value)>,
}

impl Fields {
    /// Those of a map; `None` where the value is none, or a key is no number.
    pub fn of_value(value: Value) -> Option<Self> {
        let Value::Map(pairs) = value else { return None };
        let number = |(key, value)| match key {
            Value::Unsigned(key) => Some((key, value)),
            _ => None,
        };
        pairs.into_iter().map(number).collect::<Option<_>>().map(|pairs| Self { pairs })
    }

    /// Of fields that were not understood, to be written again.
    pub fn of_others(others: &[(u64, Value)]) -> Self {
        Self { pairs: others.to_vec() }
    }

    pub fn put(&mut self, key: u64, field: &impl Field) {
        self.pairs.push((key, field.to_value()));
    }

    pub fn put_if(&mut self, key: u64, field: &Option<impl Field>) {
        if let Some(field) = field {
            self.put(key, field);
        }
    }

    /// Takes a field that must be there.
    pub fn take<T: Field>(&mut self, key: u64) -> Option<T> {
        let index = self.pairs.iter().position(|(have, _)| *have == key)?;
        let field = T::of_value(&self.pairs[index].1)?;
        self.pairs.remove(index);
        Some(field)
    }

    /// Takes a field that may be there: `None` where it is there and is of another kind.
    pub fn take_if<T: Field>(&mut self, key: u64) -> Option<Option<T>> {
        match self.pairs.iter().any(|(have, _)| *have == key) {
            true => self.take(key).map(Some),
            false => Some(None),
        }
    }

    /// What nobody took.
    pub fn into_others(self) -> Vec<(u64, Value)> {
        self.pairs
    }

    pub fn into_value(mut self) -> Value {
        // RFC 8949 §4.2.1: in the shortest form, the order of numbers is the order of their encodings.
        self.pairs.sort_by_key(|(key, _)| *key);
        Value::Map(self.pairs.into_iter().map(|(key, value)| (Value::Unsigned(key), value)).collect())
    }
}

impl Field for u64 {
    fn to_value(&self) -> Value {
        Value::Unsigned(*self)
    }

    fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::Unsigned(number) => Some(*number),
            _ => None,
        }
    }
}

impl Field for u32 {
    fn to_value(&self) -> Value {
        Value::Unsigned(u64::from(*self))
    }

    fn of_value(value: &Value) -> Option<Self> {
        u64::of_value(value)?.try_into().ok()
    }
}

impl Field for u16 {
    fn to_value(&self) -> Value {
        Value::Unsigned(u64::from(*self))
    }

    fn of_value(value: &Value) -> Option<Self> {
        u64::of_value(value)?.try_into().ok()
    }
}

impl Field for String {
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }

    fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl<const N: usize> Field for [u8; N] {
    fn to_value(&self) -> Value {
        Value::Bytes(self.to_vec())
    }

    fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => bytes[..].try_into().ok(),
            _ => None,
        }
    }
}

impl<T: Field> Field for Vec<T> {
    fn to_value(&self) -> Value {
        Value::Array(self.iter().map(Field::to_value).collect())
    }

    fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::Array(values) => values.iter().map(T::of_value).collect(),
            _ => None,
        }
    }
}

/// `[address, port]`, the address as its 4 or 16 bytes.
impl Field for SocketAddr {
    fn to_value(&self) -> Value {
        let address = match self.ip() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        Value::Array(vec![Value::Bytes(address), self.port().to_value()])
    }

    fn of_value(value: &Value) -> Option<Self> {
        let Value::Array(parts) = value else { return None };
        let [address, port] = &parts[..] else { return None };
        let address = <[u8; 4]>::of_value(address)
            .map(IpAddr::from)
            .or_else(|| <[u8; 16]>::of_value(address).map(IpAddr::from))?;
        Some(Self::new(address, u16::of_value(port)?))
    }
}
