//! Software Version (XEP-0092).

use std::io;

use quick_xml::events::BytesText;

use super::reply::Payload;

/// `jabber:iq:version`
pub(super) const NAMESPACE: &str = "jabber:iq:version";

/// Writes name and version of this software.
pub(super) fn write(writer: &mut Payload) -> io::Result<()> {
    writer
        .create_element("query")
        .with_attribute(("xmlns", NAMESPACE))
        .write_inner_content(|query| {
            query
                .create_element("name")
                .write_text_content(BytesText::new("Switchyard"))?;
            query
                .create_element("version")
                .write_text_content(BytesText::new(env!("CARGO_PKG_VERSION")))?;
            Ok(())
        })?;
    Ok(())
}
