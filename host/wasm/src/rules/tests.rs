use super::*;

fn rules(text: &str) -> Result<Rules, String> {
    #[derive(Debug, Deserialize)]
    struct Manifest {
        function: Vec<FunctionRule>,
    }
    let manifest: Manifest = toml::from_str(text).map_err(|error| error.to_string())?;
    Rules::with_env(manifest.function, Path::new("/app"), |name| {
        (name == "TOKEN").then(|| "s3cret".to_owned())
    })
    .map_err(|error| error.to_string())
}

#[test]
fn nothing_is_granted_by_default() {
    let settings = Rules::default().settings("Any");
    assert!(settings.grants_nothing());
    assert_eq!(settings.timeout, None);
}

#[test]
fn rules_apply_in_order_and_grants_add_up() {
    let rules = rules(
        r#"
        [[function]]
        names = ["*"]
        memory = "32MiB"
        retry = { max-attempts = 5, first-interval = "250ms" }

        [[function]]
        names = ["Pay*", "Other"]
        env = { SHOP = "main" }
        env-from = ["TOKEN"]
        dirs = [{ host = "shop", guest = "/shop", access = "write" }]
        http = ["https://api.example.com"]
        memory = "64MiB"
        timeout = "1m 30s"
        "#,
    )
    .expect("these rules are right");
    let pay = rules.settings("PaymentActivity");
    assert_eq!(pay.memory, 64 << 20);
    assert_eq!(pay.dirs[0].host, Path::new("/app/shop"));
    assert_eq!(pay.env.len(), 2);
    assert_eq!(pay.timeout, Some(std::time::Duration::from_secs(90)));
    let retry = pay.retry.as_ref().expect("a rule gives it");
    assert_eq!((retry.max_attempts, retry.first_interval_ms), (5, 250));
    // What it does not say is as in the SDK.
    assert_eq!((retry.backoff, retry.jitter), (2.0, 0.1));
    assert!(!pay.grants_nothing());
    let order = rules.settings("OrderActivity");
    assert_eq!(order.memory, 32 << 20);
    assert!(order.grants_nothing());
    assert_eq!(rules.unused(&["OrderActivity", "PaymentActivity"]), ["Other"]);
}

#[test]
fn of_a_rate_the_last_rule_counts_and_it_is_shown_as_it_is_written() {
    for (written, shown, nanos) in [
        ("100/s", "100/s", 10_000_000),
        (" 10 / min ", "10/min", 6_000_000_000),
        ("1000/h", "1000/h", 3_600_000_000),
        ("1000000/s", "1000000/s", 1_000),
    ] {
        let rules = rules(&format!(
            "[[function]]\nnames = [\"*\"]\nrate = \"7/s\"\n[[function]]\nnames = [\"F\"]\nrate = \"{written}\"\n"
        ));
        let rules = rules.expect("these rules are right");
        let rate = rules.settings("F").rate.expect("a rule gives it");
        assert_eq!((rate.to_string().as_str(), rate.interval().as_nanos()), (shown, nanos));
        assert_eq!(rules.settings("G").rate, "7/s".parse().ok());
    }
}

#[test]
fn secrets_are_never_shown() {
    let rules =
        rules("[[function]]\nnames = [\"*\"]\nenv = { A = \"hidden\" }\nenv-from = [\"TOKEN\"]\n")
            .expect("these rules are right");
    let shown = format!("{rules:?} {:?}", rules.settings("F"));
    assert!(!shown.contains("s3cret") && !shown.contains("hidden"), "{shown}");
}

#[test]
fn mistakes_say_what_would_be_right() {
    for (rule, words) in [
        ("memory = \"64 apples\"", "\"64MiB\""),
        ("memory = \"1KiB\"", "between 64KiB and 4GiB"),
        ("cpu = \"fast\"", "\"5s\""),
        ("timeout = \"0s\"", "longer than 0"),
        ("concurrency = 0", "at least 1"),
        ("reuse = 0", "at least 1"),
        ("rate = \"0/s\"", "from 1 to"),
        ("rate = \"100\"", "\"100/s\""),
        ("rate = \"2.5/s\"", "a whole number"),
        ("rate = \"1/day\"", "\"1000/h\""),
        ("env-from = [\"MISSING\"]", "MISSING, which is not set"),
        ("http = [\"ftp://example.com\"]", "only http and https"),
        ("http = [\"https://example.com/path\"]", "without path"),
        ("http = [\"api.*.com\"]", "at the beginning"),
        ("retry = { backoff = 0.5 }", "retry.backoff"),
        ("dirs = [{ host = \"x\", guest = \"/x\", access = \"all\" }]", "unknown variant `all`"),
        ("enviroment = {}", "unknown field `enviroment`"),
    ] {
        let text = format!("[[function]]\nnames = [\"F\"]\n{rule}\n");
        let error = rules(&text).expect_err(rule);
        assert!(error.contains(words), "{rule}: {error}");
    }
}

#[test]
fn patterns() {
    for (pattern, name, expected) in [
        ("*", "Any", true),
        ("Pay", "Pay", true),
        ("Pay", "Payment", false),
        ("Pay*", "Payment", true),
        ("*Activity", "PayActivity", true),
        ("*Activity", "PayActivityX", false),
        ("A*B*C", "AxxByyC", true),
        ("A*B*C", "AxxCyyB", false),
        ("a*a", "a", false),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn what_is_granted_is_shown_as_it_is_written() {
    for (written, shown) in [
        (r#""https://api.example.com""#, "https://api.example.com"),
        (r#""*.example.com:8443""#, "https://*.example.com:8443"),
        (r#""http://127.0.0.1:80""#, "http://127.0.0.1"),
        (r#"{ to = "*", methods = ["get", "POST"] }"#, "GET, POST https://*"),
    ] {
        let rules = rules(&format!("[[function]]\nnames = [\"F\"]\nhttp = [{written}]\n"));
        let settings = rules.expect("these rules are right").settings("F");
        assert_eq!(settings.http_targets().collect::<Vec<_>>(), [shown]);
    }
}

#[test]
fn targets() {
    let allows = |grant: &str, method: &str, uri: &str| {
        let grant = match grant.split_once(' ') {
            Some((method, to)) => HttpGrant::Methods(HttpMethods {
                to: to.to_owned(),
                methods: vec![method.to_owned()],
            }),
            None => HttpGrant::To(grant.to_owned()),
        };
        let target = HttpTarget::parse(&grant).expect("this grant is right");
        let method = method.parse().expect("a method");
        target.allows(&method, &uri.parse().expect("a URI"))
    };
    assert!(allows("https://a.com", "GET", "https://a.com/x?y"));
    assert!(allows("https://a.com", "GET", "https://A.com:443/"));
    assert!(!allows("https://a.com", "GET", "http://a.com/"));
    assert!(!allows("https://a.com", "GET", "https://a.com:8443/"));
    assert!(!allows("https://a.com", "GET", "https://b.a.com/"));
    assert!(!allows("https://a.com", "GET", "https://a.com.evil.org/"));
    assert!(allows("*.a.com", "GET", "https://b.a.com/"));
    assert!(!allows("*.a.com", "GET", "https://a.com/"));
    assert!(!allows("*.a.com", "GET", "https://evila.com/"));
    assert!(allows("http://127.0.0.1:8080", "POST", "http://127.0.0.1:8080/"));
    assert!(allows("http://[::1]:8080", "POST", "http://[::1]:8080/"));
    assert!(allows("get https://a.com", "GET", "https://a.com/"));
    assert!(!allows("get https://a.com", "POST", "https://a.com/"));
    assert!(!allows("https://a.com", "GET", "https://a.com@evil.org/"));
}
