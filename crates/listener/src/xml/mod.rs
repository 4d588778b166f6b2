//! XML as XMPP uses it (RFC 6120 §11): framing and validation in one incremental walk, no DOM.
