//! Service Discovery (XEP-0030), information about the router itself.

use std::io;

use quick_xml::events::BytesText;

use super::reply::Payload;
use super::{disco_items, ping, uptime, version};
use crate::config::ServerInfo;

/// `http://jabber.org/protocol/disco#info`
pub(super) const NAMESPACE: &str = "http://jabber.org/protocol/disco#info";

/// What the entity implements, sorted.
const FEATURES: [&str; 5] = [
    NAMESPACE,
    disco_items::NAMESPACE,
    uptime::NAMESPACE,
    version::NAMESPACE,
    ping::NAMESPACE,
];

/// Writes identity and features (contract H1: the identity that MongooseIM has), and the contact
/// addresses (XEP-0157) if there are any.
pub(super) fn write(writer: &mut Payload, contacts: &[ServerInfo]) -> io::Result<()> {
    writer
        .create_element("query")
        .with_attribute(("xmlns", NAMESPACE))
        .write_inner_content(|query| {
            query
                .create_element("identity")
                .with_attributes([
                    ("category", "server"),
                    ("type", "im"),
                    ("name", "Switchyard"),
                ])
                .write_empty()?;
            for feature in FEATURES {
                query
                    .create_element("feature")
                    .with_attribute(("var", feature))
                    .write_empty()?;
            }
            if contacts.is_empty() {
                Ok(())
            } else {
                write_contacts(query, contacts)
            }
        })?;
    Ok(())
}

/// The extended information form of XEP-0157 (XEP-0128).
fn write_contacts(writer: &mut Payload, contacts: &[ServerInfo]) -> io::Result<()> {
    writer
        .create_element("x")
        .with_attributes([("xmlns", "jabber:x:data"), ("type", "result")])
        .write_inner_content(|form| {
            let form_type = ["http://jabber.org/network/serverinfo".to_owned()];
            write_field(form, "FORM_TYPE", "hidden", &form_type)?;
            for contact in contacts {
                write_field(form, &contact.name, "list-multi", &contact.urls)?;
            }
            Ok(())
        })?;
    Ok(())
}

fn write_field(writer: &mut Payload, name: &str, kind: &str, values: &[String]) -> io::Result<()> {
    writer
        .create_element("field")
        .with_attributes([("var", name), ("type", kind)])
        .write_inner_content(|field| {
            for value in values {
                field
                    .create_element("value")
                    .write_text_content(BytesText::new(value))?;
            }
            Ok(())
        })?;
    Ok(())
}
