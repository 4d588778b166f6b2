//! Any bytes as a header of the PROXY protocol (contract L): the answer comes as soon as it is known,
//! more bytes cannot change it, and nothing beyond the header is consumed.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use switchyard_listener::fuzzing::{MAX_PROXY_HEADER, proxy_header};

fuzz_target!(|input: &[u8]| {
    let whole = proxy_header(input);
    let mut known = None;
    for end in 0..=input.len() {
        let read = proxy_header(&input[..end]);
        if known.is_none() && read != Ok(None) {
            known = Some(read.clone());
        }
        if let Some(known) = &known {
            assert_eq!(&read, known, "{end}");
        }
    }
    assert_eq!(known.unwrap_or(Ok(None)), whole);
    let padded = |of: &[u8], byte| proxy_header(&[of, &[byte; MAX_PROXY_HEADER]].concat());
    for byte in *b"\0 x\r\n<" {
        // Nobody waits for ever.
        assert_ne!(padded(input, byte), Ok(None));
    }
    let Ok(Some((len, source))) = whole else {
        return;
    };
    assert!(len <= input.len() && len <= MAX_PROXY_HEADER);
    let header = &input[..len];
    assert_eq!(proxy_header(header), whole);
    assert_eq!(proxy_header(&header[..len - 1]), Ok(None));
    for byte in *b"\0\r\n" {
        assert_eq!(padded(header, byte), whole);
    }
    let is_text = header.starts_with(b"PROXY ");
    let end = match is_text {
        true => header
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .map(|at| at + 2),
        false => Some(16 + usize::from(u16::from_be_bytes([header[14], header[15]]))),
    };
    assert_eq!(end, Some(len));
    // Written by others, the source is the same.
    if let Some(source) = source {
        for header in [text(source), binary(source)] {
            assert_eq!(
                proxy_header(&header),
                Ok(Some((header.len(), Some(source))))
            );
        }
    }
});

fn text(source: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (ip, port) = (source.ip(), source.port());
    format!("PROXY {family} {ip} {ip} {port} {port}\r\n").into_bytes()
}

fn binary(source: SocketAddr) -> Vec<u8> {
    let (family, ip) = match source.ip() {
        IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
        IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
    };
    let port = source.port().to_be_bytes();
    let addresses = [&ip[..], &ip, &port, &port].concat();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    header.extend([
        family,
        0,
        u8::try_from(addresses.len()).expect("36 at most"),
    ]);
    header.extend(addresses);
    header
}
