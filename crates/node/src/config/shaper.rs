use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::section::Section;
use super::suggestion::suggestion;
use super::value::{Parsed, Value, integer, string};

/// What a listener says that has no shaper.
const NO_SHAPER: &str = "none";

/// `[shaper.NAME]`: rates in bytes per second (contract L3). Those that no component listener names
/// may be for another part of MongooseIM.
#[derive(Debug)]
pub(crate) struct Shapers<'a> {
    /// `None`: defined, but wrong, which has been reported.
    rates: BTreeMap<&'a str, Option<NonZeroU64>>,
}

impl<'a> Shapers<'a> {
    /// Reads the section, if there is one.
    pub(crate) fn read(section: Option<Section<'a>>) -> Self {
        let mut rates = BTreeMap::new();
        if let Some(mut section) = section {
            for name in section.keys() {
                rates.insert(name, section.section(name).and_then(max_rate));
            }
            section.finish();
        }
        Self { rates }
    }

    /// The rate of the shaper that a component listener names; `None`: without limit.
    pub(crate) fn max_rate(&self, name: Value<'_>) -> Parsed<Option<NonZeroU64>> {
        let given = string(name)?;
        if given == NO_SHAPER {
            return Ok(None);
        }
        self.rates.get(given).copied().map_or_else(
            || {
                let names = [NO_SHAPER].into_iter().chain(self.rates.keys().copied());
                let nearest = suggestion(given, names);
                name.complain(format_args!("[shaper] has no such shaper: {nearest}"))
            },
            Ok,
        )
    }
}

fn max_rate(mut section: Section<'_>) -> Option<NonZeroU64> {
    let rate = section.required("max_rate", integer(1..=u64::MAX));
    section.finish();
    rate.and_then(NonZeroU64::new)
}
