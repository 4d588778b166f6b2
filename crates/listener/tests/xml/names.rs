//! Contract X4: names are those that every edition of XML 1.0 allows, for receivers may go by any.

use switchyard_listener::xml::Outcome;

use crate::checks::is_late_name;
use crate::expat::{Expat, Verdict};
use crate::framed::{END, HEADER, framer, read};
use crate::seen::by_rxml;

/// All names of `before` and one character, sorted by what the framer says to them: accepted, not
/// allowed before the fifth edition, and not allowed.
fn names(before: &str) -> [Vec<String>; 3] {
    let mut sorted = [const { Vec::new() }; 3];
    for char in '\u{80}'..='\u{20000}' {
        let name = format!("{before}{char}");
        let reading = read(framer(HEADER), format!("<{name}/>").as_bytes(), &[]);
        let index = match reading.outcome {
            Outcome::Error(error) if is_late_name(&error) => 1,
            Outcome::Error(_) => 2,
            _ => 0,
        };
        sorted[index].push(name);
    }
    sorted
}

fn document(names: &[String]) -> Vec<u8> {
    let elements: String = names.iter().map(|name| format!("<{name}/>")).collect();
    format!("{HEADER}{elements}{END}").into_bytes()
}

#[test]
fn contract_x4_names_of_the_fifth_edition_alone_are_told_from_what_is_no_name() {
    // rxml goes by the fifth edition. It lacks a range of it.
    let is_lacking =
        |name: &String| name.contains(|char| ('\u{FDF0}'..='\u{FFFD}').contains(&char));
    for before in ["", "a"] {
        let mut sorted = names(before);
        sorted
            .iter_mut()
            .for_each(|names| names.retain(|name| !is_lacking(name)));
        let [accepted, late, refused] = sorted;
        assert!(accepted.len() > 30_000 && late.len() > 70_000 && refused.len() > 5_000);
        for known in [accepted, late] {
            let seen = by_rxml(&document(&known));
            assert_eq!(seen.map(|seen| seen.len()), Some(known.len()));
        }
        for name in refused {
            let seen = by_rxml(&document(std::slice::from_ref(&name)));
            assert_eq!(seen, None, "{}", name.escape_unicode());
        }
    }
}

#[test]
fn contract_x4_names_are_those_of_expat() {
    // expat goes by the editions before the fifth.
    let mut expat = Expat::start();
    for before in ["", "a"] {
        let [accepted, late, refused] = names(before);
        let seen = expat.seen(&document(&accepted));
        assert_eq!(seen.map(|seen| seen.len()), Some(accepted.len()));
        // What comes behind the Basic Multilingual Plane is all the same to it.
        let others = late.into_iter().chain(refused);
        for name in others.filter(|name| !name.contains(|char| char > '\u{10010}')) {
            let verdict = expat.parse(&document(std::slice::from_ref(&name)));
            let is_refused = matches!(verdict, Verdict::Refused(_));
            assert!(is_refused, "{}", name.escape_unicode());
        }
    }
}
