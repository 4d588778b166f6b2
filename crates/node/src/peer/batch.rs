use std::collections::HashMap;

use switchyard_registry::Domain;

use super::{Destination, Parcel, proto};

/// Puts `parcels`, numbered from `first_seq`, into a frame. Each destination is named once.
pub(super) fn encode<'a>(
    first_seq: u64,
    rejects_seen: u64,
    parcels: impl Iterator<Item = &'a Parcel>,
) -> proto::Batch {
    let mut names = Names::default();
    let parcels = parcels
        .map(|parcel| proto::Parcel {
            destination: names.index(&parcel.to),
            count: parcel.delivery.count,
            stanzas: parcel.delivery.bytes.clone(),
        })
        .collect();
    proto::Batch {
        first_seq,
        rejects_seen,
        destinations: names.destinations,
        parcels,
    }
}

/// Reads a destination off the wire; `None` if it is not a prepared name.
pub(super) fn decode_destination(destination: &proto::Destination) -> Option<Destination> {
    let name = Domain::prepare(&destination.name).ok()?;
    Some(Destination {
        name,
        is_subdomain: destination.is_subdomain,
    })
}

/// The destination as it goes on the wire.
pub(super) fn encode_destination(destination: &Destination) -> proto::Destination {
    proto::Destination {
        name: destination.name.as_str().to_owned(),
        is_subdomain: destination.is_subdomain,
    }
}

/// The destinations named so far in a frame.
#[derive(Default)]
struct Names<'a> {
    destinations: Vec<proto::Destination>,
    indices: HashMap<&'a Destination, u32>,
    last: Option<(&'a Destination, u32)>,
}

impl<'a> Names<'a> {
    fn index(&mut self, to: &'a Destination) -> u32 {
        if let Some((_, index)) = self.last.filter(|(last, _)| *last == to) {
            return index;
        }
        let destinations = &mut self.destinations;
        let index = *self.indices.entry(to).or_insert_with(|| {
            destinations.push(encode_destination(to));
            // A frame holds far fewer parcels than that, each of a byte at least.
            u32::try_from(destinations.len() - 1).unwrap_or(u32::MAX)
        });
        self.last = Some((to, index));
        index
    }
}
