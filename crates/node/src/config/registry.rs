use switchyard_registry::OnNoQuorum;

use super::section::Section;
use super::value::one_of;

/// `[registry]`: how names are registered in the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Registry {
    /// What happens to components that connect while there is no quorum (contract R6).
    pub(crate) on_no_quorum: OnNoQuorum,
}

impl Registry {
    pub(crate) fn read(mut section: Section<'_>) -> Self {
        let on_no_quorum = section.optional("on_no_quorum", one_of(&ON_NO_QUORUM, name));
        section.finish();
        Self {
            on_no_quorum: on_no_quorum.unwrap_or_default(),
        }
    }
}

const ON_NO_QUORUM: [OnNoQuorum; 2] = [OnNoQuorum::Refuse, OnNoQuorum::AcceptLocal];

const fn name(choice: OnNoQuorum) -> &'static str {
    match choice {
        OnNoQuorum::Refuse => "refuse",
        OnNoQuorum::AcceptLocal => "accept_local",
    }
}
