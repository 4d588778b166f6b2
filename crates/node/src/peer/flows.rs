use std::collections::HashMap;

use super::Destination;

/// Congestion notices beyond this many destinations are not remembered: such parcels are sent and,
/// at worst, rejected.
const MAX_CONGESTED: usize = 64 * 1024;

/// What is under way to each destination of a link, and which of them should be spared.
///
/// Without a bound of its own, one destination that has slowed down would fill the window of the
/// whole link, and its outbox beyond the hard limit, before its congestion notice is back.
#[derive(Debug)]
pub(super) struct Flows {
    flows: HashMap<Destination, Flow>,
    limit: usize,
    congested: usize,
}

#[derive(Debug, Default)]
struct Flow {
    bytes: usize,
    parcels: usize,
    /// The receiver asked to hold back.
    congested: bool,
    /// A parcel found no room; cleared when half of the limit is free again.
    full: bool,
    /// Everything that is under way is pinned.
    pinned: bool,
}

impl Flows {
    /// `limit`: bytes under way to one destination at which further parcels are refused.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            flows: HashMap::new(),
            limit,
            congested: 0,
        }
    }

    /// Whether [`Self::admit`] would take a parcel. Who is told no may wait for
    /// [`Self::release`] or [`Self::set_congested`] to announce relief.
    pub(super) fn is_open(&mut self, to: &Destination) -> bool {
        let Some(flow) = self.flows.get_mut(to) else {
            return true;
        };
        flow.full |= flow.bytes >= self.limit;
        !flow.congested && !flow.full
    }

    /// Counts a parcel of `bytes` as under way, if there is room for it.
    pub(super) fn admit(&mut self, to: &Destination, bytes: usize) -> bool {
        let Some(flow) = self.flows.get_mut(to) else {
            let flow = Flow {
                bytes,
                parcels: 1,
                ..Flow::default()
            };
            self.flows.insert(to.clone(), flow);
            return true;
        };
        if flow.congested || flow.bytes >= self.limit {
            flow.full |= flow.bytes >= self.limit;
            return false;
        }
        flow.bytes += bytes;
        flow.parcels += 1;
        flow.pinned = false;
        true
    }

    /// Whether anything is under way to `to`.
    pub(super) fn has(&self, to: &Destination) -> bool {
        self.flows.get(to).is_some_and(|flow| flow.parcels > 0)
    }

    /// True once for what is under way to `to`: it is to be pinned.
    pub(super) fn pin(&mut self, to: &Destination) -> bool {
        let flow = self.flows.get_mut(to).filter(|flow| flow.parcels > 0);
        flow.is_some_and(|flow| !std::mem::replace(&mut flow.pinned, true))
    }

    /// Counts a parcel as no longer under way. True if somebody may be waiting for that.
    pub(super) fn release(&mut self, to: &Destination, bytes: usize) -> bool {
        let Some(flow) = self.flows.get_mut(to) else {
            return false;
        };
        flow.bytes = flow.bytes.saturating_sub(bytes);
        flow.parcels = flow.parcels.saturating_sub(1);
        let relieved = flow.full && flow.bytes <= self.limit / 2;
        if relieved {
            flow.full = false;
        }
        if flow.parcels == 0 && !flow.congested {
            self.flows.remove(to);
        }
        relieved
    }

    /// The receiver asks to hold back, or no longer does. True if somebody may be waiting for that.
    pub(super) fn set_congested(&mut self, to: Destination, congested: bool) -> bool {
        if !congested {
            return self.end_congestion(&to);
        }
        if self.congested < MAX_CONGESTED {
            let flow = self.flows.entry(to).or_default();
            self.congested += usize::from(!flow.congested);
            flow.congested = true;
        }
        false
    }

    /// Forgets all notices: they hold for one stream. True if somebody may be waiting for that.
    pub(super) fn clear_congestion(&mut self) -> bool {
        let relieved = self.congested > 0;
        self.congested = 0;
        self.flows.retain(|_, flow| {
            flow.congested = false;
            flow.parcels > 0
        });
        relieved
    }

    fn end_congestion(&mut self, to: &Destination) -> bool {
        let Some(flow) = self.flows.get_mut(to).filter(|flow| flow.congested) else {
            return false;
        };
        flow.congested = false;
        if flow.parcels == 0 {
            self.flows.remove(to);
        }
        self.congested -= 1;
        true
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
}
