/// Beyond this the nearest name is no likelier than any other.
const LEAST_SIMILARITY: f64 = 0.75;

/// What `given` may have been meant to be: `did you mean "password"?`, or all there is if nothing
/// is near.
pub(crate) fn suggestion<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let similarity = |name: &&str| strsim::jaro_winkler(&given.to_lowercase(), name);
    let nearest = names
        .iter()
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    match nearest {
        Some(name) if similarity(name) >= LEAST_SIMILARITY => format!("did you mean \"{name}\"?"),
        _ => format!("possible here: {}", names.join(", ")),
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
