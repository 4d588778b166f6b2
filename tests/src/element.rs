use std::collections::BTreeMap;

/// One XML element as received, with namespaces resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// The namespace's URI; empty: none.
    pub namespace: String,
    /// The name without its prefix.
    pub name: String,
    /// By name; `{URI}name` where an attribute has a namespace. Declarations are not among them.
    pub attributes: BTreeMap<String, String>,
    /// Child elements in their order.
    pub children: Vec<Self>,
    /// Character data directly inside, put together.
    pub text: String,
    /// The bytes as received; empty for elements inside a stanza.
    pub raw: Vec<u8>,
}

impl Element {
    /// The value of an attribute; empty if it has none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The first child of that name in any namespace.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the child `<body/>`; empty if there is none.
    #[must_use]
    pub fn body(&self) -> &str {
        self.child("body").map_or("", |body| body.text.as_str())
    }

    /// Of a stanza with `type='error'`: its condition and the error's type, such as
    /// `("remote-server-not-found", "cancel")`.
    #[must_use]
    pub fn stanza_error(&self) -> Option<(&str, &str)> {
        const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
        if self.attribute("type") != "error" {
            return None;
        }
        let error = self.child("error")?;
        let condition = error
            .children
            .iter()
            .find(|child| child.namespace == STANZAS && child.name != "text")?;
        Some((&condition.name, error.attribute("type")))
    }
}
