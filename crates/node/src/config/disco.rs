use switchyard_registry::Domain;
use toml::de::DeValue;

use super::section::Section;
use super::value::{Parsed, Value, boolean, domain, string, text};

/// `[modules.mod_disco]`: what the router's own entity tells about the cluster (contract H2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disco {
    /// Whether a user, a JID with a localpart, is shown hidden components.
    pub(crate) users_can_see_hidden_services: bool,
    /// Listed besides the registered components.
    pub(crate) extra_domains: Vec<Domain>,
    /// Contact addresses in disco#info (XEP-0157), as far as they are meant for the host itself.
    pub(crate) server_info: Vec<ServerInfo>,
}

/// One field of the XEP-0157 form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerInfo {
    /// The field's name, such as `abuse-addresses`.
    pub(crate) name: String,
    /// Its values.
    pub(crate) urls: Vec<String>,
}

impl Default for Disco {
    fn default() -> Self {
        Self {
            users_can_see_hidden_services: true,
            extra_domains: Vec::new(),
            server_info: Vec::new(),
        }
    }
}

impl Disco {
    pub(crate) fn read(mut section: Section<'_>) -> Self {
        let default = Self::default();
        let disco = Self {
            users_can_see_hidden_services: section
                .optional("users_can_see_hidden_services", boolean)
                .unwrap_or(default.users_can_see_hidden_services),
            extra_domains: section.set("extra_domains", domain).unwrap_or_default(),
            server_info: server_infos(&mut section),
        };
        section.skip(&["iqdisc"], "MongooseIM's; it has no meaning here");
        section.finish();
        disco
    }
}

/// The entries that are for all modules or for `mod_disco`, which answers for the host.
fn server_infos(section: &mut Section<'_>) -> Vec<ServerInfo> {
    let entries = section.sections("server_info");
    entries.into_iter().filter_map(server_info).collect()
}

fn server_info(mut section: Section<'_>) -> Option<ServerInfo> {
    let name = section.required("name", text);
    let modules = section.optional("modules", modules);
    section.require("urls");
    let urls = section.list("urls", text).unwrap_or_default();
    section.finish();
    if modules.is_some_and(|modules| !modules.contains(&"mod_disco")) {
        return None;
    }
    Some(ServerInfo {
        name: name?,
        urls: urls.into_iter().map(|(_, url)| url).collect(),
    })
}

/// A list of modules; `"all"`, which MongooseIM knows too, is the same as none given.
fn modules<'a>(value: Value<'a>) -> Parsed<Vec<&'a str>> {
    match value.get() {
        DeValue::Array(names) => names.iter().map(|name| string(Value(name))).collect(),
        DeValue::String(all) if all == "all" => Ok(vec!["mod_disco"]),
        _ => value.expected("an array of module names or \"all\""),
    }
}
