//! What load balancers send, and what they do not.

use proptest::prelude::*;

use super::*;

/// A header of version 2: command and family as on the wire, then addresses and extensions.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    let mut header = v2::PROTOCOL_PREFIX.to_vec();
    header.extend([0x20 | command, family]);
    header.extend(length);
    header.extend(rest);
    header
}

const IPV4: [u8; 12] = [192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x34, 0x22, 0xb8];

fn valid() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let mut ipv6 = [0; 36];
    ipv6[..2].copy_from_slice(&[0x20, 0x01]);
    ipv6[15] = 9;
    ipv6[33] = 80;
    let mut mapped = ipv6;
    mapped[..16].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7]);
    let with_tlvs = [&IPV4[..], &[0x04, 0, 3, 0, 0, 0, 0xea, 0, 1, 7]].concat();
    // An extension that is longer than the header: none of our business.
    let with_bad_tlv = [&IPV4[..], &[0x04, 0xff, 0xff, 0]].concat();
    let long_tlv = [&IPV4[..], &[0; MAX_V2 - V2_FIXED - 12]].concat();
    vec![
        (
            b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 8888\r\n".to_vec(),
            Some("192.0.2.7:4660"),
        ),
        (
            b"PROXY TCP6 2001::9 ::1 80 8888\r\n".to_vec(),
            Some("[2001::9]:80"),
        ),
        (
            b"PROXY TCP6 ::ffff:192.0.2.7 ::1 80 8888\r\n".to_vec(),
            Some("192.0.2.7:80"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN a b c d e f g h \r i\xff\r\n".to_vec(), None),
        (v2(1, 0x11, &IPV4), Some("192.0.2.7:4660")),
        (v2(1, 0x11, &with_tlvs), Some("192.0.2.7:4660")),
        (v2(1, 0x11, &with_bad_tlv), Some("192.0.2.7:4660")),
        (v2(1, 0x11, &long_tlv), Some("192.0.2.7:4660")),
        (v2(1, 0x21, &ipv6), Some("[2001::9]:80")),
        (v2(1, 0x21, &mapped), Some("192.0.2.7:80")),
        (v2(1, 0x31, &[7; 216]), None),
        (v2(1, 0x00, &[]), None),
        (v2(1, 0x00, &[1, 2, 3]), None),
        (v2(0, 0x00, &[]), None),
        (v2(0, 0x11, &IPV4), None),
        // LOCAL from a proxy that leaves a family behind, or one that nobody knows.
        (v2(0, 0x11, &[]), None),
        (v2(0, 0xff, &[1, 2, 3]), None),
    ]
}

#[test]
fn contract_l_both_versions_are_read_and_what_is_behind_them_is_left() {
    for (header, source) in valid() {
        let source = source.map(|source| source.parse().unwrap());
        let expected = ProxyHeader {
            len: header.len(),
            source,
        };
        assert_eq!(read(&header), Ok(Some(expected)), "{header:?}");
        let followed = [&header[..], b"<?xml version='1.0'?>\r\n"].concat();
        assert_eq!(read(&followed), Ok(Some(expected)), "{header:?}");
    }
}

#[test]
fn contract_l_a_header_may_arrive_in_any_pieces() {
    for (header, _) in valid() {
        for end in 0..header.len() {
            assert_eq!(read(&header[..end]), Ok(None), "{header:?} up to {end}");
        }
    }
}

#[test]
fn contract_l_bad_headers_are_refused() {
    let long_v1 = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
    let long_v2 = v2(1, 0x11, &[0; MAX_V2]);
    for (input, fault) in [
        (&b"<stream:stream "[..], ProxyFault::Missing),
        (b"\x16\x03\x01", ProxyFault::Missing),
        (b"proxy TCP4 ", ProxyFault::Missing),
        (b"PROXYTCP4 ", ProxyFault::Missing),
        (b"\r\n\r\nGET", ProxyFault::Missing),
        (b"PROXY \r\n", ProxyFault::V1),
        (b"PROXY TCP4\r\n", ProxyFault::V1),
        (b"PROXY UNKNOWNS\r\n", ProxyFault::V1),
        (b"PROXY UDP4 192.0.2.7 127.0.0.1 1 2\r\n", ProxyFault::V1),
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 1\r\n", ProxyFault::V1),
        (
            b"PROXY TCP4 192.0.2.7 127.0.0.1 1 65536\r\n",
            ProxyFault::V1,
        ),
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2 3\r\n", ProxyFault::V1),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", ProxyFault::V1),
        (b"PROXY TCP6 192.0.2.7 127.0.0.1 1 2\r\n", ProxyFault::V1),
        (b"PROXY TCP4 \xff 127.0.0.1 1 2\r\n", ProxyFault::V1),
        (&long_v1, ProxyFault::TooLong),
        (&long_v2, ProxyFault::TooLong),
        (&v2(2, 0x11, &IPV4), ProxyFault::V2),
        (&v2(1, 0x41, &IPV4), ProxyFault::V2),
        (&v2(1, 0x13, &IPV4), ProxyFault::V2),
        (&v2(1, 0x11, &IPV4[..11]), ProxyFault::V2),
        (&v2(1, 0x21, &[0; 35]), ProxyFault::V2),
        (&v2(1, 0x31, &[0; 215]), ProxyFault::V2),
    ] {
        assert_eq!(read(input), Err(fault), "{input:?}");
    }
    let mut version_1 = v2(1, 0x11, &IPV4);
    version_1[12] = 0x11;
    assert_eq!(read(&version_1), Err(ProxyFault::V2));
}

proptest! {
    #[test]
    fn no_input_panics_or_waits_beyond_the_bound(
        start in prop_oneof![
            Just(V1_START.to_vec()),
            Just(v2::PROTOCOL_PREFIX.to_vec()),
            Just(b"PROXY TCP4 192.0.2.7 ".to_vec()),
            Just(Vec::new()),
        ],
        rest in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b' '), Just(b'\r'), Just(b'\n')], 0..300),
    ) {
        let input = [start, rest].concat();
        let mut whole = None;
        for end in 0..=input.len() {
            let read = read(&input[..end]);
            // Once known, the answer stays: more bytes cannot change it.
            if let Some(known) = &whole {
                prop_assert_eq!(&read, known);
            }
            if let Ok(Some(header)) = &read {
                prop_assert!(header.len <= end);
            }
            if read != Ok(None) {
                whole = Some(read);
            }
        }
        let padded = [&input[..], &[b'x'; MAX_V2]].concat();
        prop_assert_ne!(read(&padded), Ok(None));
    }
}
