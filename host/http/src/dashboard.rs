//! The pages for people: files that are in the program. They hold no data and
//! take no key; what they show they ask for with the key that they are given.

mod files;

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use self::files::FILES;
use crate::auth::Access;
use crate::error::ApiError;
use crate::openapi::operation::{Operation, get};
use crate::text::hex;

/// Where the files are.
const BELOW: &str = "/dashboard/";

/// What the pages may do: load what is here, and ask this host. There is
/// nothing from elsewhere in them, and no code in what they show.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // Asked again each time, and then mostly answered with 304: a program that
    // is replaced has other pages.
    (header::CACHE_CONTROL, "no-cache"),
];

/// A file, as it is served.
struct File {
    bytes: &'static [u8],
    media_type: HeaderValue,
    etag: String,
}

static BY_PATH: LazyLock<HashMap<&'static str, File>> = LazyLock::new(|| {
    let file = |(path, bytes): &(&'static str, &'static [u8])| {
        let mut etag = hex(&Sha256::digest(bytes));
        etag.truncate(32);
        let media_type = HeaderValue::from_static(media_type(path));
        (*path, File { bytes, media_type, etag: format!("\"{etag}\"") })
    };
    FILES.iter().map(file).collect()
});

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "webmanifest") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// The routes of the pages. They are no part of the API and not in its
/// document.
pub(crate) fn operations() -> Vec<Operation> {
    let page = |path: &str, id| get(path, Access::Open, id, index);
    vec![
        page("/", "page"),
        page("/sagas", "pageOfSagas"),
        page("/sagas/{*rest}", "pageOfSaga"),
        page("/functions", "pageOfFunctions"),
        page("/functions/{*rest}", "pageOfFunction"),
        get("/dashboard/{*file}", Access::Open, "pageFile", file),
    ]
}

/// Which page it is, the code in it finds out by its address.
async fn index(request: Request) -> Response {
    serve("index.html", request.headers())
}

async fn file(Path(path): Path<String>, request: Request) -> Response {
    serve(&path, request.headers())
}

fn serve(path: &str, headers: &HeaderMap) -> Response {
    let Some(file) = BY_PATH.get(path) else {
        let path: String = path.chars().take(200).collect();
        let message = format!("The pages of this host have no file {BELOW}{path}.");
        return ApiError::new(StatusCode::NOT_FOUND, "NoSuchFile", message).into_response();
    };
    let mut response = if is_known(headers, &file.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(file.bytes));
        response.headers_mut().insert(header::CONTENT_TYPE, file.media_type.clone());
        response
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(etag) = HeaderValue::from_str(&file.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// Whether the client has this already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH);
    let mut tags = known.iter().filter_map(|tags| tags.to_str().ok()).flat_map(|it| it.split(','));
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn folder() -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard")
    }

    fn files_in(dir: &std::path::Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).expect("the folder is read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                files_in(&path, found);
            } else {
                let below = path.strip_prefix(folder()).expect("it is below");
                found.insert(below.to_string_lossy().replace('\\', "/"));
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_program() {
        let mut there = BTreeSet::new();
        files_in(&folder(), &mut there);
        let listed: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed, there, "list the files of dashboard/ in dashboard/files.rs");
        assert_eq!(FILES.len(), listed.len(), "a file is listed twice");
    }

    #[test]
    fn every_file_has_a_type() {
        for (path, _) in FILES {
            assert_ne!(media_type(path), "application/octet-stream", "{path}");
        }
    }

    #[test]
    fn what_the_page_loads_is_there() {
        let page = std::str::from_utf8(BY_PATH["index.html"].bytes).expect("text");
        let loaded: Vec<&str> = ["src=\"", "href=\""]
            .iter()
            .flat_map(|attribute| page.split(attribute).skip(1))
            .filter_map(|rest| rest.split('"').next())
            .filter(|path| path.contains('.'))
            .collect();
        assert!(loaded.len() > 2, "{loaded:?}");
        for path in loaded {
            let file = path.strip_prefix(BELOW);
            assert!(file.is_some_and(|file| BY_PATH.contains_key(file)), "{path}");
        }
    }

    #[test]
    fn nothing_in_the_files_is_from_elsewhere() {
        for (path, bytes) in FILES {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            for mark in ["innerHTML", "src=\"http", "href=\"http", "@import url(http", "eval("] {
                assert!(!text.contains(mark), "{path} has {mark}");
            }
        }
    }

    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        let mut headers = HeaderMap::new();
        let first = serve("index.html", &headers);
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let etag = first.headers()[header::ETAG].clone();
        for (sent, status) in [
            (etag.to_str().expect("text").to_owned(), 304),
            (format!("\"other\", W/{}", etag.to_str().expect("text")), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&sent).expect("ascii"));
            let response = serve("index.html", &headers);
            assert_eq!(response.status().as_u16(), status, "{sent}");
            for (name, value) in HEADERS {
                assert_eq!(response.headers()[name], value);
            }
        }
        assert_eq!(serve("none.js", &headers).status(), StatusCode::NOT_FOUND);
        assert_eq!(serve("../Cargo.toml", &headers).status(), StatusCode::NOT_FOUND);
    }
}
