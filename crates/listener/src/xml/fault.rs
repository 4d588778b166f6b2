use super::error::{Protocol, XmlError, XmlErrorKind};

/// Why a token could not be read to its end. Fits a register, for the sake of the hot path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its end has not arrived.
    Partial,
    /// It is wrong.
    Fault(Fault),
}

/// Something wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: Wrong,
    pub(super) at: u32,
}

/// What can be wrong with the bytes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    AttributeInTwoContents,
    AttributeTwice,
    AttributeUnquoted,
    AttributeWithoutSpace,
    AttributeWithoutValue,
    BracketInTag,
    BracketInValue,
    Cdata,
    CdataEndInText,
    CharacterReference,
    Comment,
    ControlInText,
    ControlInValue,
    Declaration,
    DeclarationNotFirst,
    Depth,
    Dtd,
    EndTag,
    EndTagTooLong,
    Encoding,
    ForbiddenByte,
    ForbiddenCharacter,
    HeaderTooLong,
    Instruction,
    Looks(Protocol),
    LateNameCharacter,
    Mismatch,
    Name,
    NameCharacter,
    NameTooLong,
    NamespaceDeclaration,
    NamespaceName,
    NotXml,
    Prefix,
    PrefixXmlns,
    Reference,
    SecondHeader,
    Slash,
    StanzaTooLong,
    StreamElement,
    TextBetween,
    TooManyAttributes,
    TooManyPrefixes,
    TwoColons,
    Utf16,
    Utf8,
}

impl Wrong {
    /// The same at a position.
    ///
    /// Positions fit: the framer never looks beyond the first 4 GiB of a buffer.
    #[cold]
    pub(super) const fn at(self, at: usize) -> Fault {
        let at = at as u32;
        Fault { what: self, at }
    }

    /// The end of reading a token.
    #[cold]
    pub(super) const fn stop<T>(self, at: usize) -> Result<T, Stop> {
        Err(Stop::Fault(self.at(at)))
    }

    const fn kind(self) -> XmlErrorKind {
        match self {
            Self::Comment | Self::Dtd | Self::Instruction => XmlErrorKind::Restricted,
            Self::AttributeInTwoContents
            | Self::Depth
            | Self::EndTagTooLong
            | Self::HeaderTooLong
            | Self::NameTooLong
            | Self::StanzaTooLong
            | Self::TooManyAttributes
            | Self::TooManyPrefixes => XmlErrorKind::Policy,
            Self::Encoding | Self::Utf16 => XmlErrorKind::UnsupportedEncoding,
            Self::Looks(protocol) => XmlErrorKind::LooksLike(protocol),
            Self::SecondHeader => XmlErrorKind::SecondHeader,
            Self::StreamElement | Self::TextBetween => XmlErrorKind::BadFormat,
            _ => XmlErrorKind::NotWellFormed,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::AttributeInTwoContents => {
                "an attribute that is there in two content namespaces, which are one on a \
                 component's stream"
            }
            Self::AttributeTwice => "an attribute that is there twice",
            Self::AttributeUnquoted => "an attribute value without quotes",
            Self::AttributeWithoutSpace => "no white space before an attribute",
            Self::AttributeWithoutValue => "an attribute without a value",
            Self::BracketInTag => "\"<\" in a tag",
            Self::BracketInValue => "\"<\" in an attribute value",
            Self::Cdata => "a malformed CDATA section",
            Self::CdataEndInText => "\"]]>\" in text",
            Self::CharacterReference => "a reference to a character that XML forbids",
            Self::Comment => "comments are not allowed in XMPP",
            Self::ControlInText => "a control character in text",
            Self::ControlInValue => "a control character in an attribute value",
            Self::Declaration => "a malformed XML declaration",
            Self::DeclarationNotFirst => "an XML declaration that is not at the very beginning",
            Self::Depth => "elements are nested too deeply",
            Self::Dtd => "a DTD is not allowed in XMPP",
            Self::EndTag => "an end tag without a start tag",
            Self::EndTagTooLong => "an end tag that is too long",
            Self::Encoding => "XMPP is encoded in UTF-8",
            Self::ForbiddenByte => "a byte that is not allowed in XML",
            Self::ForbiddenCharacter => "a character that XML forbids",
            Self::HeaderTooLong => "the stream header is too long",
            Self::Instruction => "processing instructions are not allowed in XMPP",
            Self::LateNameCharacter => {
                "a character not allowed in names by XML 1.0 before its fifth edition, \
                 which receivers may enforce"
            }
            Self::Looks(Protocol::Http) => "this is not XML but looks like HTTP",
            Self::Looks(Protocol::Proxy) => {
                "this is not XML but looks like a PROXY protocol header"
            }
            Self::Looks(Protocol::Tls) => {
                "this is not XML but looks like TLS, which this port does not speak"
            }
            Self::Mismatch => "an end tag that does not match the open element",
            Self::Name => "no name where one must be",
            Self::NameCharacter => "a character that XML does not allow in names",
            Self::NameTooLong => "a name that is too long",
            Self::NamespaceDeclaration => "a namespace declaration that is not allowed",
            Self::NamespaceName => {
                "a namespace with a character that no URI has (RFC 3986), which receivers may refuse"
            }
            Self::NotXml => "this is not XML",
            Self::Prefix => "a prefix that is not declared",
            Self::PrefixXmlns => "an element with the prefix xmlns",
            Self::Reference => "\"&\" that begins no predefined entity or character reference",
            Self::SecondHeader => "a second stream header",
            Self::Slash => "\"/\" in a tag",
            Self::StanzaTooLong => "the stanza is longer than this listener allows",
            Self::StreamElement => "an element of the streams namespace that no component sends",
            Self::TextBetween => "text between stanzas",
            Self::TooManyAttributes => "too many attributes",
            Self::TooManyPrefixes => "too many namespace prefixes",
            Self::TwoColons => "a name with two colons",
            Self::Utf16 => "this looks like UTF-16; XMPP is encoded in UTF-8",
            Self::Utf8 => "invalid UTF-8",
        }
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Fault {
    /// The error, with the character that is wrong if the reader has to know which: `bytes` are
    /// those that positions count in.
    #[cold]
    pub(super) fn explain(self, bytes: &[u8]) -> XmlError {
        let mut error = XmlError::from(self);
        if let Wrong::LateNameCharacter | Wrong::NameCharacter = self.what
            && let Some(char) = char_at(bytes, self.at as usize)
        {
            error.text = format!("{}: U+{:04X}", error.text, u32::from(char)).into();
        }
        error
    }
}

fn char_at(bytes: &[u8], at: usize) -> Option<char> {
    let rest = bytes.get(at..)?;
    let chunk = rest.get(..4).unwrap_or(rest).utf8_chunks().next()?;
    chunk.valid().chars().next()
}

impl From<Fault> for XmlError {
    fn from(fault: Fault) -> Self {
        Self {
            kind: fault.what.kind(),
            text: fault.what.text().into(),
            at: fault.at,
        }
    }
}
