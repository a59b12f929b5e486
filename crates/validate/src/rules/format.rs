//! Well-known shapes of strings: email addresses, URLs, UUIDs.

/// What the issue about an email address says.
pub(super) const EMAIL_REASON: &str = "not a valid email address";

/// Whether the text is an email address: the grammar of the HTML standard (`input type=email`), at most 254 bytes with at most
/// 64 before the `@`, no leading, trailing or doubled dot before it, and a dot in the domain.
///
/// Source: WHATWG HTML, "valid email address"; lengths from RFC 5321, 4.5.3.1.
pub(super) fn is_email(text: &str) -> bool {
    if text.len() > 254 {
        return false;
    }
    let Some(at) = text.bytes().rposition(|byte| byte == b'@') else {
        return false;
    };
    let (local, domain) = (&text.as_bytes()[..at], &text.as_bytes()[at + 1..]);
    is_local_part(local) && is_domain(domain)
}

fn is_local_part(local: &[u8]) -> bool {
    if local.is_empty() || local.len() > 64 {
        return false;
    }
    let mut after_dot = true;
    for byte in local {
        match byte {
            b'.' if after_dot => return false,
            b'.' => after_dot = true,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => after_dot = false,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'/' | b'=' | b'?' | b'^'
            | b'_' | b'`' | b'{' | b'|' | b'}' | b'~' | b'-' => after_dot = false,
            _ => return false,
        }
    }
    !after_dot
}

fn is_domain(domain: &[u8]) -> bool {
    let mut labels = 0;
    for label in domain.split(|byte| *byte == b'.') {
        let inside = label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        let edges = label.first() != Some(&b'-') && label.last() != Some(&b'-');
        if label.is_empty() || label.len() > 63 || !inside || !edges {
            return false;
        }
        labels += 1;
    }
    labels >= 2
}

/// Whether the text has nothing around or in it that a reader of URLs passes over: what stands there is no part of a URL.
pub(super) fn is_url_text(text: &str) -> bool {
    let blank = |byte: Option<&u8>| byte.is_some_and(|byte| *byte <= b' ');
    let bytes = text.as_bytes();
    !blank(bytes.first())
        && !blank(bytes.last())
        && !bytes.iter().any(|byte| b"\t\n\r".contains(byte))
}

/// Whether the text is an absolute URL with a host.
pub(super) fn check_url(text: &str) -> Result<(), String> {
    match url::Url::parse(text) {
        Ok(_) if !is_url_text(text) => {
            Err("space or control characters around or in it".to_owned())
        }
        Ok(url) if url.has_host() => Ok(()),
        Ok(_) => Err("empty host".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The bits of a UUID written with or without hyphens, in braces, or as a URN.
pub(crate) fn parse_uuid(text: &str) -> Result<u128, String> {
    uuid::Uuid::parse_str(text).map(|uuid| uuid.as_u128()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_the_whole_text() {
        for good in ["http://a", "https://a.b/c d?e=f#g", "ftp://a:1/\u{e9}"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in
            ["http://a\n", " http://a ", "ht\ntp://a", "http://a\t", "\u{1}http://a", "http:", "a"]
        {
            assert!(check_url(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn knows_email_addresses() {
        for good in
            ["a@b.co", "first.last+tag@sub.example.org", "x_y-z@a-b.c1", "o'hara@example.com"]
        {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "@b.co",
            "a@",
            "a@b",
            "a@@b.co",
            "a b@c.de",
            ".a@b.co",
            "a.@b.co",
            "a..b@c.de",
            "a@b..co",
            "a@-b.co",
            "a@b-.co",
            "a@b.co.",
            "a@b.c\u{f6}",
            "a@b.co\n",
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
        assert!(!is_email(&format!("{}@b.co", "a".repeat(65))));
        assert!(!is_email(&format!("a@{}.co", "b".repeat(64))));
    }
}
