//! When a wallet was born.

use anyhow::bail;
use electrum_server_core::personal::Birth;

use super::entry::BirthEntry;

/// From here on a number is a time, as in lock times.
pub(super) const TIMES: u32 = 500_000_000;

/// Reads a birth: a height, a date, or seconds since 1970. Without one it is that of the chain.
pub(super) fn parse(entry: Option<&BirthEntry>) -> anyhow::Result<Birth> {
    let number = |number: u32| match number < TIMES {
        true => Birth::Height(number),
        false => Birth::Time(number),
    };
    match entry {
        None => Ok(Birth::Height(0)),
        Some(BirthEntry::Number(given)) => Ok(number(*given)),
        Some(BirthEntry::Text(text)) => {
            if let Ok(given) = text.trim().parse() {
                return Ok(number(given));
            }
            match seconds(text.trim()) {
                Some(seconds) => Ok(Birth::Time(seconds)),
                None => {
                    bail!("`{text}` is no height and no date (YYYY-MM-DD, for example 2021-05-31)")
                }
            }
        }
    }
}

/// The beginning of a day (UTC), in seconds since 1970.
fn seconds(date: &str) -> Option<u32> {
    // Electrum Personal Server writes DD/MM/YYYY.
    let fields: Vec<&str> = date.split(['-', '/']).collect();
    let [first, month, last] = fields.as_slice() else {
        return None;
    };
    let (year, day) = match date.contains('/') {
        true => (last, first),
        false => (first, last),
    };
    let (year, month, day): (u32, u32, u32) =
        (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let is_leap = |year: u32| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let length = |month: u32| match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(2009..2106).contains(&year)
        || !(1..=12).contains(&month)
        || day == 0
        || day > length(month)
    {
        return None;
    }
    let years: u32 = (1970..year)
        .map(|year| 365 + u32::from(is_leap(year)))
        .sum();
    let months: u32 = (1..month).map(length).sum();
    (years + months + day - 1).checked_mul(24 * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_heights_are_told_apart() {
        let text = |text: &str| parse(Some(&BirthEntry::Text(text.into())));
        assert_eq!(parse(None).unwrap(), Birth::Height(0));
        assert_eq!(text("700000").unwrap(), Birth::Height(700_000));
        assert_eq!(text("1622419200").unwrap(), Birth::Time(1_622_419_200));
        // date --utc --date=2021-05-31 +%s
        assert_eq!(text("2021-05-31").unwrap(), Birth::Time(1_622_419_200));
        assert_eq!(text("31/05/2021").unwrap(), Birth::Time(1_622_419_200));
        assert_eq!(text("2024-02-29").unwrap(), Birth::Time(1_709_164_800));
        for wrong in [
            "2023-02-29",
            "2021-13-01",
            "2021-00-10",
            "yesterday",
            "1970-01-01",
            "-1",
            "",
        ] {
            let error = text(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
