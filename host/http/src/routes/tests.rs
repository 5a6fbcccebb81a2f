use super::*;
use crate::auth::USE;
use crate::urls::canonical_path;

#[test]
fn every_operation_needs_the_right_key() {
    let needs = Needs::of(&operations());
    let base = |rest: &str| managed(rest);
    let open = Access::Open;
    for (method, path, expected) in [
        ("GET", "/healthz".to_owned(), open),
        ("GET", "/readyz".to_owned(), open),
        ("HEAD", "/readyz".to_owned(), open),
        ("POST", "/readyz".to_owned(), MANAGE),
        ("GET", "/openapi.json".to_owned(), USE),
        ("POST", "/api/orchestrators/{name}".to_owned(), USE),
        ("POST", "/api/orchestrators/{name}/{id}".to_owned(), USE),
        ("POST", base("orchestrators/{name}"), USE),
        ("POST", base("orchestrators/{name}/{id}"), USE),
        ("GET", base("instances"), USE),
        ("GET", base("instances/{id}"), USE),
        ("HEAD", base("instances/{id}"), USE),
        ("GET", "/api/instances".to_owned(), USE),
        ("GET", "/api/instances/histogram".to_owned(), USE),
        ("GET", "/api/instances/{id}/events".to_owned(), USE),
        ("GET", "/api/instances/{id}/replay".to_owned(), USE),
        ("GET", "/api/instances/{id}/undo".to_owned(), USE),
        ("POST", "/api/instances/{id}/undo".to_owned(), MANAGE),
        ("POST", "/api/instances/{id}/cancel".to_owned(), MANAGE),
        ("POST", "/api/instances/{id}/undo/{step}/retry".to_owned(), MANAGE),
        ("POST", "/api/instances/{id}/undo/{step}/done".to_owned(), MANAGE),
        ("POST", "/api/instances/{id}/undo/{step}/failed".to_owned(), MANAGE),
        ("POST", base("instances/{id}/raiseEvent/{event}"), USE),
        ("GET", base("entities"), USE),
        ("GET", base("entities/{name}"), USE),
        ("GET", base("entities/{name}/{key}"), USE),
        ("POST", base("entities/{name}/{key}"), USE),
        ("DELETE", base("entities/{name}/{key}"), MANAGE),
        ("DELETE", base("instances/{id}"), MANAGE),
        ("DELETE", base("instances"), MANAGE),
        ("POST", base("instances/{id}/terminate"), MANAGE),
        ("POST", base("instances/{id}/suspend"), MANAGE),
        ("POST", base("instances/{id}/resume"), MANAGE),
        ("POST", base("instances/{id}/rewind"), MANAGE),
        ("POST", base("instances/{id}/restart"), MANAGE),
        ("GET", "/admin/functions".to_owned(), MANAGE),
        ("POST", "/admin/functions/{name}".to_owned(), MANAGE),
        ("PUT", "/admin/components/{name}".to_owned(), MANAGE),
        ("POST", "/admin/clock/skip".to_owned(), MANAGE),
        ("GET", "/admin/stats".to_owned(), MANAGE),
        ("GET", "/metrics".to_owned(), MANAGE),
        ("GET", "/admin/log".to_owned(), MANAGE),
        ("PUT", "/admin/log".to_owned(), MANAGE),
        ("GET", "/api/events".to_owned(), USE),
        ("GET", "/api/session".to_owned(), USE),
        ("GET", "/api/overview".to_owned(), USE),
        ("GET", "/api/functions".to_owned(), USE),
        ("GET", "/anything".to_owned(), MANAGE),
    ] {
        let verb: Method = method.parse().expect("a method");
        assert_eq!(needs.access(&verb, Some(&path)), expected, "{method} {path}");
    }
    assert_eq!(needs.access(&Method::GET, None), MANAGE);
}

#[test]
fn what_is_the_hosts_own_and_what_ends_things_takes_a_key_that_may_manage() {
    for operation in operations() {
        let Operation { method, path, access, .. } = operation;
        let health = matches!(&*path, "/healthz" | "/readyz");
        assert_eq!(access == Access::Open, health, "{method} {path}");
        if path.starts_with("/admin/") || method == Method::DELETE || method == Method::PUT {
            assert_eq!(access, MANAGE, "{method} {path}");
        }
    }
}

#[test]
fn an_entity_is_no_instance() {
    let refused = |route: &str, path: &str| {
        no_entity(Some(route), path).err().map(|refused| refused.status().as_u16())
    };
    for (route, path) in [
        (managed("instances/{id}"), managed("instances/@A@a")),
        (managed("instances/{id}/raiseEvent/{event}"), managed("instances/%40A%40a/raiseEvent/x")),
        ("/api/instances/{id}/undo".to_owned(), "/api/instances/@/undo".to_owned()),
    ] {
        assert_eq!(refused(&route, &path), Some(404), "{path}");
    }
    for (route, path) in [
        (managed("instances/{id}"), managed("instances/a@b")),
        (managed("instances"), managed("instances")),
        (managed("entities/{name}/{key}"), managed("entities/A/@a")),
        ("/orders/instances/{id}".to_owned(), "/orders/instances/@a".to_owned()),
    ] {
        assert_eq!(refused(&route, &path), None, "{path}");
    }
    assert!(no_entity(None, "/anything/@").is_ok());
}

/// The words of a route have no case, but for those of `/admin` and the like.
#[test]
fn the_words_of_every_route_are_known_in_any_case() {
    for Operation { path, .. } in operations() {
        if !path.starts_with(BASE) && !path.starts_with("/api/") {
            continue;
        }
        let shouted: Vec<String> = path
            .split('/')
            .map(|segment| match segment.starts_with('{') {
                true => "Some-Id".to_owned(),
                false => segment.to_ascii_uppercase(),
            })
            .collect();
        let spelled: Vec<&str> = path
            .split('/')
            .map(|segment| if segment.starts_with('{') { "Some-Id" } else { segment })
            .collect();
        let canonical = canonical_path(&shouted.join("/"));
        assert_eq!(canonical, Some(spelled.join("/")), "add the words of {path} to urls.rs");
    }
}

#[test]
fn the_pages_take_no_key_and_are_all_that_takes_none() {
    let pages = dashboard::operations();
    let needs = Needs::of(&pages);
    for Operation { method, path, access, .. } in &pages {
        assert_eq!((method, *access), (&Method::GET, Access::Open), "{path}");
        assert_eq!(needs.access(&Method::POST, Some(path)), MANAGE, "{path}");
    }
}

#[test]
fn a_host_that_is_only_read_refuses_whatever_is_no_get() {
    for Operation { method, path, .. } in operations() {
        let refused = only_read(&method, Some(&path)).err().map(|it| it.status().as_u16());
        let expected = (method != Method::GET).then_some(403);
        assert_eq!(refused, expected, "{method} {path}");
    }
    assert!(only_read(&Method::HEAD, Some("/healthz")).is_ok());
    assert!(only_read(&Method::POST, None).is_ok(), "there is nothing to refuse");
}
