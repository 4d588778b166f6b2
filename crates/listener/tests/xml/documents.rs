//! Stream headers and what may stand behind them: well-formed, and damaged.

use proptest::prelude::*;

/// Declarations and language of a stream header.
const OF_HEADER: [&str; 8] = [
    " xml:lang='pl'",
    " xmlns:h='urn:h&amp;'",
    " xmlns:c='jabber:client'",
    " xmlns:s=\"jabber:\u{73}erver\"",
    " xmlns:p='urn:p'",
    " xmlns:q='urn:r'",
    " xmlns:a='jabber:component:accept'",
    " xmlns:w='urn:w'",
];

const ATTRIBUTES: [&str; 18] = [
    " a='1'",
    " b = \"2'\"\n",
    " p:a='3'",
    " q:a='&lt;&#x41;'",
    " h:a='é'",
    " xml:lang='en'",
    " type='get'",
    " to=\"b.example/'\"",
    " from='a.example'",
    " id='&quot;'",
    " xmlns:p='urn:p'",
    " xmlns:q='urn:q'",
    " xmlns:h='urn:inner'",
    " c:a='4'",
    " xmlns:c='jabber:server'",
    " xmlns:s='urn:inner'",
    " a:b='\t \r\n&#9;&#13;&#10;'",
    " xmlns:w='jabber:client'",
];

const DEFAULTS: [&str; 9] = [
    "",
    "",
    "",
    " xmlns='jabber:client'",
    " xmlns='jabber:&#115;erver'",
    " xmlns=\"jabber:component:accept\"",
    " xmlns='urn:d'",
    " xmlns=''",
    " xmlns:p='urn:q'",
];

const NAMES: [&str; 18] = [
    "message",
    "iq",
    "presence",
    "message",
    "a",
    "presences",
    "p:x",
    "q:y",
    "h:z",
    "c:message",
    "s:iq",
    "a:presence",
    "w:message",
    "c:body",
    "stream:s",
    "xml:b",
    "é",
    "a-1.b",
];

const TEXTS: [&str; 12] = [
    "",
    "x",
    "&amp;",
    "&#65;&#x1F600;",
    "<![CDATA[<&]]>",
    "日本語, at some length",
    "]]",
    ">",
    "\r\n",
    "0123456789abcdef",
    "<![CDATA[]]]]>",
    "\u{FFFD}\u{85}\u{7F}",
];

const JUNK: [&[u8]; 34] = [
    b"<",
    b">",
    b"&",
    b"'",
    b"\"",
    b"/",
    b"=",
    b":",
    b" ",
    b"]]>",
    b"<!--x-->",
    b"<?x?>",
    b"<!DOCTYPE x>",
    b"&#0;",
    b"&x;",
    b"\x00",
    b"\x1f",
    b"\xff",
    b"\xc3",
    b"\xef\xbf\xbf",
    b"\xed\xa0\x80",
    b"\xc8\xa0",
    b"\xc2\xb7",
    b" xmlns:p=''",
    b" xmlns:p='a}b'",
    b" xmlns='a&#32;b'",
    b" xmlns:xml='x'",
    b" p:a='1' q:a='2'",
    b" a='1'",
    b"</a>",
    b"<a>",
    b"<p:x/>",
    b"xmlns",
    b"z:",
];

fn attributes() -> impl Strategy<Value = String> {
    let known = prop::sample::subsequence(ATTRIBUTES.to_vec(), 0..6);
    let default = prop::sample::select(&DEFAULTS[..]);
    (known, default).prop_map(|(known, default)| format!("{}{default}", known.concat()))
}

fn element() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(&NAMES[..]);
    let text = prop::sample::select(&TEXTS[..]).prop_map(str::to_owned);
    let empty = (name(), attributes());
    let empty = empty.prop_map(|(name, attributes)| format!("<{name}{attributes}/>"));
    let content = prop_oneof![text, empty].prop_recursive(4, 24, 4, move |inner| {
        let inner = prop::collection::vec(inner, 0..4);
        (name(), attributes(), inner).prop_map(|(name, attributes, inner)| {
            format!("<{name}{attributes}>{}</{name} >", inner.concat())
        })
    });
    let content = prop::collection::vec(content, 0..4);
    (name(), attributes(), content).prop_map(|(name, attributes, content)| {
        format!("<{name}{attributes}>{}</{name}>", content.concat())
    })
}

/// A stream header: with all that it may declare half of the time, else with some of it.
pub(crate) fn header() -> impl Strategy<Value = String> {
    let all = Just(OF_HEADER.to_vec());
    let some = prop::sample::subsequence(OF_HEADER.to_vec(), 0..OF_HEADER.len());
    prop_oneof![all, some].prop_map(|declarations| {
        format!(
            "<stream:stream xmlns='jabber:component:accept'{} \
             xmlns:stream='http://etherx.jabber.org/streams'>",
            declarations.concat()
        )
    })
}

/// Where `input` may be cut, from numbers that know nothing of its length.
pub(crate) fn cuts(input: &[u8], of: &[prop::sample::Index]) -> Vec<usize> {
    let mut cuts: Vec<usize> = of.iter().map(|cut| cut.index(input.len() + 1)).collect();
    cuts.sort_unstable();
    cuts
}

pub(crate) fn document() -> impl Strategy<Value = String> {
    let space = Just(" \n".to_owned());
    let elements = prop::collection::vec(prop_oneof![8 => element(), 1 => space], 0..4);
    elements.prop_map(|elements| elements.concat())
}

/// A document with some of its bytes removed or replaced, or others put between them.
pub(crate) fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let junk = prop::option::of(prop::sample::select(&JUNK[..]));
    let mutation = (any::<prop::sample::Index>(), 0..4_usize, junk);
    let mutations = prop::collection::vec(mutation, 0..4);
    (document(), mutations).prop_map(|(document, mutations)| {
        let mut bytes = document.into_bytes();
        for (index, removed, junk) in mutations {
            let start = index.index(bytes.len() + 1);
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, junk.into_iter().flatten().copied());
        }
        bytes
    })
}
