/// Beyond this the nearest name is no likelier than any other.
const LEAST_SIMILARITY: f64 = 0.75;

/// The name that `given` was probably meant to be, if it is near one.
pub(crate) fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let rated = names.map(|name| (strsim::jaro_winkler(&given, name), name));
    let best = rated.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(similarity, _)| *similarity >= LEAST_SIMILARITY)
        .map(|(_, name)| name)
}

/// What `given` may have been meant to be: `did you mean "password"?`, or all there is if nothing
/// is near.
pub(crate) fn suggestion<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match nearest(given, names.iter().copied()) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("possible here: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::suggestion;

    #[test]
    fn the_nearest_name_is_found() {
        let names = ["password", "port", "check_from", "hidden_components"];
        for (given, nearest) in [
            ("pasword", "password"),
            ("Port", "port"),
            ("checkfrom", "check_from"),
            ("hidden_component", "hidden_components"),
        ] {
            let said = suggestion(given, names.into_iter());
            assert_eq!(said, format!("did you mean \"{nearest}\"?"));
        }
    }

    #[test]
    fn without_a_near_one_all_are_named() {
        let said = suggestion("zzz", ["port", "proto"].into_iter());
        assert_eq!(said, "possible here: port, proto");
    }
}
