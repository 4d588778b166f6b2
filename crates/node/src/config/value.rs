use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use switchyard_registry::Domain;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::HostPort;
use super::suggestion::suggestion;

/// A value of a configuration file, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a>(pub(crate) &'a Spanned<DeValue<'a>>);

/// Why a value is refused. Never quotes the value: it could be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// Byte offset of the value.
    pub(crate) at: usize,
    /// What was expected.
    pub(crate) message: String,
}

/// What a parser of one value returns.
pub(crate) type Parsed<T> = Result<T, Complaint>;

// === impl Value ===

impl<'a> Value<'a> {
    /// Byte offset of its first character.
    pub(crate) fn at(self) -> usize {
        self.0.span().start
    }

    /// The value itself.
    pub(crate) fn get(self) -> &'a DeValue<'a> {
        self.0.get_ref()
    }

    /// Refuses the value.
    pub(crate) fn complain<T>(self, message: impl fmt::Display) -> Parsed<T> {
        Err(Complaint {
            at: self.at(),
            message: message.to_string(),
        })
    }

    /// Refuses the value for its type.
    pub(crate) fn expected<T>(self, what: impl fmt::Display) -> Parsed<T> {
        let found = match self.get() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.complain(format_args!("expected {what}, found {found}"))
    }
}

// === parsers ===

/// `true` or `false`.
pub(crate) fn boolean(value: Value<'_>) -> Parsed<bool> {
    match value.get() {
        DeValue::Boolean(boolean) => Ok(*boolean),
        _ => value.expected("a boolean"),
    }
}

/// A string.
pub(crate) fn string(value: Value<'_>) -> Parsed<&str> {
    match value.get() {
        DeValue::String(string) => Ok(string),
        _ => value.expected("a string"),
    }
}

/// A string with something in it.
pub(crate) fn text(value: Value<'_>) -> Parsed<String> {
    match string(value)? {
        "" => value.complain("must not be empty"),
        text => Ok(text.to_owned()),
    }
}

/// An integer of `range`.
pub(crate) fn integer(range: RangeInclusive<u64>) -> impl Fn(Value<'_>) -> Parsed<u64> {
    move |value| match value.get() {
        DeValue::Integer(integer) => in_range(value, integer, &range),
        _ => value.expected("an integer"),
    }
}

/// A positive integer, or the string `"infinity"`, which is `None`.
pub(crate) fn positive_or_infinity(value: Value<'_>) -> Parsed<Option<u64>> {
    match value.get() {
        DeValue::Integer(integer) => in_range(value, integer, &(1..=u64::MAX)).map(Some),
        DeValue::String(string) if string == "infinity" => Ok(None),
        DeValue::String(_) => value.complain("expected a positive integer or \"infinity\""),
        _ => value.expected("a positive integer or \"infinity\""),
    }
}

/// An integer that is not negative, or the string `"infinity"`, which is `None`.
pub(crate) fn whole_or_infinity(value: Value<'_>) -> Parsed<Option<u64>> {
    match value.get() {
        DeValue::Integer(integer) => in_range(value, integer, &(0..=u64::MAX)).map(Some),
        DeValue::String(string) if string == "infinity" => Ok(None),
        DeValue::String(_) => value.complain("expected an integer from 0 or \"infinity\""),
        _ => value.expected("an integer from 0 or \"infinity\""),
    }
}

/// A positive number of milliseconds, or `"infinity"`, which is `None`.
pub(crate) fn millis_or_infinity(value: Value<'_>) -> Parsed<Option<Duration>> {
    Ok(positive_or_infinity(value)?.map(Duration::from_millis))
}

/// A TCP port; not 0, which would leave the choice to the system and nobody the wiser.
pub(crate) fn port(value: Value<'_>) -> Parsed<u16> {
    let port = integer(1..=u64::from(u16::MAX))(value)?;
    u16::try_from(port).or_else(|_| value.complain("expected a port"))
}

/// An IP address and a port.
pub(crate) fn socket_address(value: Value<'_>) -> Parsed<SocketAddr> {
    match string(value)?.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        Ok(_) => value.complain("the port must be a number from 1 to 65535"),
        Err(_) => value.complain("expected an IP address and a port, such as \"127.0.0.1:7371\""),
    }
}

/// An IP address or a DNS name, and a port.
pub(crate) fn host_port(value: Value<'_>) -> Parsed<HostPort> {
    let text = string(value)?;
    text.parse().or_else(|error| value.complain(error))
}

/// A domain, prepared.
pub(crate) fn domain(value: Value<'_>) -> Parsed<Domain> {
    let text = string(value)?;
    Domain::prepare(text).or_else(|error| value.complain(error))
}

/// One of `choices` by its name.
pub(crate) fn one_of<T: Copy>(
    choices: &[T],
    name: fn(T) -> &'static str,
) -> impl Fn(Value<'_>) -> Parsed<T> {
    move |value| {
        let given = string(value)?;
        let found = choices
            .iter()
            .copied()
            .find(|&choice| name(choice) == given);
        found.map_or_else(
            || {
                let names = choices.iter().map(|&choice| name(choice));
                value.complain(format_args!("no such value: {}", suggestion(given, names)))
            },
            Ok,
        )
    }
}

fn in_range(value: Value<'_>, integer: &DeInteger<'_>, range: &RangeInclusive<u64>) -> Parsed<u64> {
    match u64::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(number) if range.contains(&number) => Ok(number),
        _ if *range.end() == u64::MAX => {
            value.complain(format_args!("must be at least {}", range.start()))
        }
        _ => value.complain(format_args!(
            "must be from {} to {}",
            range.start(),
            range.end()
        )),
    }
}
