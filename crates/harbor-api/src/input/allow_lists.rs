//! What a sandbox may reach, as a caller writes it (contract, control-plane §5.7).

use std::net::Ipv4Addr;

/// The most entries of one list.
const MOST: usize = 10;

/// Checks a comma-separated list of IPv4 networks; blank entries do not count. `None`: nothing is listed.
pub(crate) fn networks(text: &str) -> Result<Option<String>, String> {
    list("networkAllowList", text, |entry| {
        let Some((address, prefix)) = entry.split_once('/') else {
            return Err("needs a prefix, as in 10.0.0.0/8");
        };
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse::<u8>().is_ok_and(|prefix| digits && prefix <= 32);
        let address = address.parse::<Ipv4Addr>().is_ok();
        if address && prefix { Ok(()) } else { Err("is no IPv4 network") }
    })
}

/// Checks a comma-separated list of domains, each with at most one leading `*.`. `None`: nothing is listed.
pub(crate) fn domains(text: &str) -> Result<Option<String>, String> {
    list("domainAllowList", text, |entry| {
        let name = entry.strip_prefix("*.").unwrap_or(entry);
        let labels: Vec<&str> = name.split('.').collect();
        let top = labels.last().is_some_and(|top| top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic()));
        if top && labels.len() >= 2 && name.len() <= 253 && labels.iter().all(|label| is_label(label)) {
            Ok(())
        } else {
            Err("is no domain, such as example.com or *.example.com")
        }
    })
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn list(field: &str, text: &str, check: impl Fn(&str) -> Result<(), &'static str>) -> Result<Option<String>, String> {
    let entries: Vec<&str> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
    if entries.len() > MOST {
        return Err(format!("{field} must not have more than {MOST} entries"));
    }
    for entry in &entries {
        check(entry).map_err(|what| format!("{field}: '{}' {what}", entry.escape_default()))?;
    }
    Ok((!entries.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_a_prefix_and_are_ipv4() {
        assert_eq!(networks(" 10.0.0.0/8 , ,1.1.1.1/32"), Ok(Some(" 10.0.0.0/8 , ,1.1.1.1/32".to_owned())));
        assert_eq!(networks(" , "), Ok(None));
        for text in ["10.0.0.1", "::1/128", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "x/8"] {
            assert!(networks(text).is_err(), "{text}");
        }
        let eleven = (0..11).map(|n| format!("10.0.{n}.0/24")).collect::<Vec<_>>().join(",");
        assert!(networks(&eleven).unwrap_err().contains("10 entries"));
    }

    #[test]
    fn domains_may_start_with_one_wildcard() {
        assert!(domains("example.com,*.example.org").unwrap().is_some());
        for text in ["a.*.example.com", "*", "localhost", "example.c", "http://x.test", "-a.com", "1.2.3.4", "*.*.com"]
        {
            assert!(domains(text).is_err(), "{text}");
        }
    }
}
