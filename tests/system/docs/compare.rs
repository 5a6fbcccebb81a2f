//! Comparing what is printed with what a page says.

/// Whether this is what is expected, in which `…` stands for anything.
pub(super) fn fits(expected: &str, said: &str) -> bool {
    let lines = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    // A line that is nothing but `…` is any number of lines.
    let mut expected = format!("\n{}\n", lines(expected));
    while expected.contains("\n…\n") {
        expected = expected.replace("\n…\n", "…");
    }
    let said = format!("\n{}\n", lines(said));
    let mut rest = said.as_str();
    let parts: Vec<&str> = expected.split('…').collect();
    let last = parts.len() - 1;
    for (number, part) in parts.iter().enumerate() {
        if number == last && number > 0 {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) if number > 0 || at == 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty()
}

/// Puts a word in the place of each time, id, duration and size.
pub(super) fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut inside = false;
    while let Some(next) = rest.chars().next() {
        let found = (!inside).then(|| changing(rest)).flatten();
        if let Some((length, word)) = found {
            out.push_str(word);
            rest = &rest[length..];
            inside = true;
            continue;
        }
        inside = next.is_alphanumeric();
        out.push(next);
        rest = &rest[next.len_utf8()..];
    }
    out
}

/// What this begins with, if that is another each time.
fn changing(text: &str) -> Option<(usize, &'static str)> {
    let shaped = |shape: &str| {
        let mut chars = text.chars();
        shape.chars().all(|wanted| match (wanted, chars.next()) {
            ('0', Some(c)) => c.is_ascii_digit(),
            (wanted, found) => Some(wanted) == found,
        })
    };
    let digits =
        |from: usize| text[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - from);
    let fraction = |from: usize| match text[from..].starts_with('.') {
        true => from + 1 + digits(from + 1),
        false => from,
    };
    if shaped("0000-00-00T00:00:00") {
        let end = fraction(19);
        return text[end..].starts_with('Z').then_some((end + 1, "<time>"));
    }
    if shaped("00:00:00") {
        return Some((fraction(8), "<clock>"));
    }
    if text.starts_with("< 1 ms") {
        return Some(("< 1 ms".len(), "<amount>"));
    }
    let hex = text
        .find(|c: char| !c.is_ascii_digit() && !('a'..='f').contains(&c) && c != '-')
        .unwrap_or(text.len());
    if hex >= 12 && text[..hex].contains(|c: char| c.is_ascii_digit()) {
        return Some((hex, "<id>"));
    }
    let number = digits(0);
    if number == 0 {
        return None;
    }
    let number = fraction(number);
    let unit = text[number..].trim_start_matches(' ');
    let unit = ["µs", "ms", "min", "s", "B", "KiB", "MiB", "GiB"].into_iter().find(|known| {
        unit.strip_prefix(known).is_some_and(|after| !after.starts_with(char::is_alphanumeric))
    })?;
    let end = number + text[number..].find(unit)? + unit.len();
    Some((end, "<amount>"))
}

#[test]
fn what_changes_is_masked_and_the_rest_compared() {
    assert_eq!(
        mask(
            "at 2026-01-31T12:00:00.5Z or 12:00:00.123 id 0198c0de11112222 took 4.2 ms (3 min), 7 of 12"
        ),
        "at <time> or <clock> id <id> took <amount> (<amount>), 7 of 12"
    );
    assert_eq!(mask("order-7 x12s 12 sagas"), "order-7 x12s 12 sagas");
    assert_eq!(mask("(< 1 ms, attempt 2)"), "(<amount>, attempt 2)");
    for (expected, said, right) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…", "ab", true),
        ("…b", "ab", true),
        ("a…b…c", "a1b2c", true),
        ("a…b…c", "a1c2b", false),
        ("a\n…\nc", "a\nb\nb\nc", true),
        ("a\n…\nc", "a\nc", true),
        ("…\nc", "b\nc", true),
        ("a\n…", "a\nb\nc", true),
        ("a\n…\nc", "a\nb", false),
    ] {
        assert_eq!(fits(expected, said), right, "{expected:?} {said:?}");
    }
}
