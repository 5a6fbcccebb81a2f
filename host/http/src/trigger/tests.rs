use super::*;

fn trigger(method: &str, path: &str) -> Trigger {
    Trigger::new("Saga", method, path).expect("is right")
}

#[test]
fn routes_are_checked() {
    for good in ["/orders", "/orders/{orderId}", "/api/orders/{a}/{b-c}", "/a.b/~c_d", "/apis/{x}"]
    {
        trigger("POST", good);
    }
    for (wrong, why) in [
        ("orders", "begin with a slash"),
        ("/", "there has to be something"),
        ("/orders/", "there has to be something"),
        ("/orders//x", "there has to be something"),
        ("/{any}", "begin with a word"),
        ("/api/{any}", "begin with a word"),
        ("/orders/{}", "a name in braces"),
        ("/orders/{*rest}", "a name in braces"),
        ("/orders/{a}/{a}", "twice"),
        ("/orders/x{a}", "outside of braces"),
        ("/orders/a%20b", "outside of braces"),
        ("/orders/..", "outside of braces"),
        ("/api/orchestrators/mine", "has /api/orchestrators and all below"),
        ("/Api/Instances", "has /api/instances and all below"),
        ("/runtime/x", "for itself"),
        ("/ADMIN", "for itself"),
        ("/metrics", "for itself"),
        ("/openapi.json", "for itself"),
    ] {
        let said = Trigger::new("Saga", "POST", wrong).expect_err(wrong);
        assert!(said.contains(why), "{said}");
    }
    let said = Trigger::new("Saga", "GET", "/orders").expect_err("no GET");
    assert!(said.contains("POST, PUT, PATCH or DELETE"), "{said}");
}

/// What the host has for itself is where its routes are.
#[test]
fn no_route_of_the_hosts_own_can_be_taken() {
    for operation in crate::routes::operations() {
        let path: Vec<&str> = operation
            .path
            .split('/')
            .map(|segment| if segment.starts_with('{') { "x" } else { segment })
            .collect();
        let path = path.join("/");
        assert!(Trigger::new("Saga", "POST", &path).is_err(), "add the beginning of {path}");
    }
}

#[test]
fn two_routes_may_not_be_the_same() {
    let order = trigger("POST", "/orders/{id}");
    assert!(order.conflict(&trigger("POST", "/orders/new")).is_none());
    assert!(order.conflict(&trigger("PUT", "/orders/{id}")).is_none());
    assert!(order.conflict(&trigger("POST", "/orders/{id}/x")).is_none());
    let twice = order.conflict(&trigger("POST", "/orders/{id}"));
    assert!(twice.is_some_and(|said| said.contains("is there twice")));
    let named = order.conflict(&trigger("PUT", "/orders/{other}"));
    assert!(named.is_some_and(|said| said.contains("use the same names")));
}

#[test]
fn the_place_of_an_id_is_said_in_one_of_three_ways() {
    for good in ["path:orderId", "header:x-order-id", "body:/order/id"] {
        assert!(good.parse::<IdFrom>().is_ok(), "{good}");
    }
    for wrong in ["", "orderId", "path:", "query:id", "header:a b", "body:id", "path:{id}"] {
        let said = wrong.parse::<IdFrom>().expect_err(wrong);
        assert!(said.contains("write it like"), "{said}");
    }
    let id = "path:other".parse().expect("a place");
    let said = trigger("POST", "/orders/{id}").with_id(id).expect_err("is not there");
    assert!(said.contains("has no {other}"), "{said}");
}

#[test]
fn a_wait_has_a_limit() {
    let wait = |seconds| trigger("POST", "/a").with_wait(Duration::from_secs(seconds));
    assert!(wait(0).is_err() && wait(3601).is_err());
    assert!(wait(3600).is_ok());
}
