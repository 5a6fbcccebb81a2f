//! Where HTTP requests may go.

use hyper::{Method, Uri};

use super::HttpGrant;

/// A target that was granted: scheme, host, port, methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpTarget {
    https: bool,
    host: Host,
    port: u16,
    /// Empty for all.
    methods: Vec<Method>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    /// The domains below this one, and not itself.
    Below(String),
    Exactly(String),
}

impl HttpTarget {
    /// Reads `https://api.example.com`, `http://127.0.0.1:8080` or
    /// `*.example.com`. Without a scheme it is https; without a port, the
    /// scheme's own.
    pub(crate) fn parse(grant: &HttpGrant) -> Result<Self, String> {
        let (to, methods) = match grant {
            HttpGrant::To(to) => (to, &[][..]),
            HttpGrant::Methods(grant) if grant.methods.is_empty() => {
                return Err(format!(
                    "`http` to {:?} has an empty list of `methods`: name them, or leave the key out",
                    grant.to
                ));
            }
            HttpGrant::Methods(grant) => (&grant.to, &grant.methods[..]),
        };
        let wrong = |why: &str| {
            format!(
                "`http` cannot grant {to:?}: {why}; write it as \"https://api.example.com\", \
                 \"http://127.0.0.1:8080\" or \"*.example.com\""
            )
        };
        let (https, rest) = match to.split_once("://") {
            None => (true, to.as_str()),
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(wrong("only http and https are known")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(wrong("a grant is for a whole host, without path or user"));
        }
        // The port is behind the last colon, unless that is inside of the
        // brackets of an IPv6 address.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let port = port.parse().map_err(|_| wrong("the port is not a number"))?;
                (host, port)
            }
            _ => (rest, if https { 443 } else { 80 }),
        };
        let host = host.to_ascii_lowercase();
        let host = match host.strip_prefix("*.") {
            _ if host == "*" => Host::Any,
            _ if host.is_empty() => return Err(wrong("the host is missing")),
            Some(domain) if !domain.is_empty() && !domain.contains('*') => {
                Host::Below(domain.to_owned())
            }
            None if !host.contains('*') => Host::Exactly(host),
            _ => return Err(wrong("`*` stands alone or at the beginning, as `*.`")),
        };
        let methods = methods
            .iter()
            .map(|method| {
                let upper = method.to_ascii_uppercase();
                Method::from_bytes(upper.as_bytes())
                    .map_err(|_| format!("{method:?} is not an HTTP method"))
            })
            .collect::<Result<_, _>>()?;
        Ok(HttpTarget { https, host, port, methods })
    }

    /// What was granted, as people write it: `GET, POST https://example.com`.
    pub(crate) fn shown(&self) -> String {
        let mut shown = String::new();
        for (place, method) in self.methods.iter().enumerate() {
            shown.push_str(if place == 0 { "" } else { ", " });
            shown.push_str(method.as_str());
        }
        if !shown.is_empty() {
            shown.push(' ');
        }
        let (scheme, usual) = if self.https { ("https", 443) } else { ("http", 80) };
        shown.push_str(scheme);
        shown.push_str("://");
        match &self.host {
            Host::Any => shown.push('*'),
            Host::Below(domain) => {
                shown.push_str("*.");
                shown.push_str(domain);
            }
            Host::Exactly(host) => shown.push_str(host),
        }
        if self.port != usual {
            shown.push_str(&format!(":{}", self.port));
        }
        shown
    }

    /// Whether this request may go out.
    pub(crate) fn allows(&self, method: &Method, uri: &Uri) -> bool {
        let https = match uri.scheme_str() {
            Some("https") | None => true,
            Some("http") => false,
            Some(_) => return false,
        };
        let Some(host) = uri.host().map(str::to_ascii_lowercase) else {
            return false;
        };
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let host_fits = match &self.host {
            Host::Any => true,
            Host::Exactly(exactly) => *exactly == host,
            Host::Below(domain) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        };
        host_fits
            && self.https == https
            && self.port == port
            && (self.methods.is_empty() || self.methods.contains(method))
    }
}
