//! What stands in the parentheses of an attribute.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprArray, ExprLit, Lit, LitStr, Meta, Result, Token, UnOp};

/// All arguments an attribute may have.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) name: Option<LitStr>,
    pub(crate) description: Option<LitStr>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) retry: Option<Retry>,
    pub(crate) undo: Option<LitStr>,
    pub(crate) undoes: Option<LitStr>,
}

/// `retry(...)`; what is not given has the same defaults as
/// `sagahost::RetryPolicy`, which a test of the SDK checks.
pub(crate) struct Retry {
    pub(crate) max_attempts: u32,
    pub(crate) first_interval_ms: u64,
    pub(crate) backoff: f64,
    pub(crate) max_interval_ms: u64,
    pub(crate) total_time_ms: Option<u64>,
    pub(crate) jitter: f64,
    pub(crate) do_not_retry: Vec<LitStr>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            first_interval_ms: 1_000,
            backoff: 2.0,
            max_interval_ms: 60_000,
            total_time_ms: None,
            jitter: 0.1,
            do_not_retry: Vec::new(),
        }
    }
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut args = Self::default();
        for meta in Punctuated::<Meta, Token![,]>::parse_terminated(input)? {
            let key = key(&meta)?;
            match key.as_str() {
                "name" => set(&mut args.name, name(&meta)?, &meta)?,
                "description" => set(&mut args.description, string(value(&meta)?)?, &meta)?,
                "timeout" => set(&mut args.timeout_ms, duration(value(&meta)?)?, &meta)?,
                "retry" => {
                    let list = meta.require_list()?;
                    set(&mut args.retry, list.parse_args::<Retry>()?, &meta)?;
                }
                "undo" => set(&mut args.undo, name(&meta)?, &meta)?,
                "undoes" => set(&mut args.undoes, name(&meta)?, &meta)?,
                _ => {
                    let message = format!(
                        "there is no argument `{key}`; there are `name`, `description`, `timeout`, `retry`, `undo` \
                         and `undoes`, the last two for activities only"
                    );
                    return Err(Error::new(meta.span(), message));
                }
            }
        }
        Ok(args)
    }
}

impl Parse for Retry {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut retry = Self::default();
        let mut seen = Vec::new();
        for meta in Punctuated::<Meta, Token![,]>::parse_terminated(input)? {
            let key = key(&meta)?;
            if seen.contains(&key) {
                return Err(Error::new(meta.span(), format!("`{key}` is given twice")));
            }
            let value = value(&meta)?;
            match key.as_str() {
                "max_attempts" => retry.max_attempts = integer(value)?,
                "first_interval" => retry.first_interval_ms = duration(value)?,
                "backoff" => {
                    retry.backoff = number(value, "at least 1", |number| number >= 1.0)?;
                }
                "max_interval" => retry.max_interval_ms = duration(value)?,
                "total_time" => retry.total_time_ms = Some(duration(value)?),
                "jitter" => {
                    retry.jitter =
                        number(value, "0.0 to 1.0", |number| (0.0..=1.0).contains(&number))?;
                }
                "do_not_retry" => retry.do_not_retry = strings(value)?,
                _ => {
                    let message = format!(
                        "`retry` has no `{key}`; it has `max_attempts`, `first_interval`, `backoff`, \
                         `max_interval`, `total_time`, `jitter` and `do_not_retry`"
                    );
                    return Err(Error::new(meta.span(), message));
                }
            }
            seen.push(key);
        }
        Ok(retry)
    }
}

fn key(meta: &Meta) -> Result<String> {
    Ok(meta.path().require_ident()?.to_string())
}

fn value(meta: &Meta) -> Result<&Expr> {
    Ok(&meta.require_name_value()?.value)
}

fn set<T>(slot: &mut Option<T>, value: T, meta: &Meta) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::new(meta.span(), "this argument is given twice")),
    }
}

fn name(meta: &Meta) -> Result<LitStr> {
    let name = string(value(meta)?)?;
    match name.value().is_empty() {
        true => Err(Error::new(name.span(), "a function's name must not be empty")),
        false => Ok(name),
    }
}

fn string(expr: &Expr) -> Result<LitStr> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(string), .. }) => Ok(string.clone()),
        _ => Err(Error::new(expr.span(), "expected a string in quotes")),
    }
}

fn strings(expr: &Expr) -> Result<Vec<LitStr>> {
    match expr {
        Expr::Array(ExprArray { elems, .. }) => elems.iter().map(string).collect(),
        _ => Err(Error::new(expr.span(), "expected a list of strings: [\"card-declined\"]")),
    }
}

fn integer(expr: &Expr) -> Result<u32> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse(),
        _ => Err(Error::new(expr.span(), "expected a whole number")),
    }
}

fn number(expr: &Expr, range: &str, fits: impl Fn(f64) -> bool) -> Result<f64> {
    let number: f64 = match expr {
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => number.base10_parse()?,
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse()?,
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => f64::NAN,
        _ => return Err(Error::new(expr.span(), "expected a number")),
    };
    match fits(number) {
        true => Ok(number),
        false => Err(Error::new(expr.span(), format!("expected a number, {range}"))),
    }
}

fn duration(expr: &Expr) -> Result<u64> {
    let text = string(expr)?;
    millis(&text.value()).ok_or_else(|| {
        let message = "expected a duration such as \"200ms\", \"5s\", \"1m30s\", \"2h\" or \"7d\"";
        Error::new(text.span(), message)
    })
}

/// `"1m30s"` in milliseconds.
fn millis(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = tail.trim_start();
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::{Args, millis};

    #[test]
    fn durations() {
        assert_eq!(millis("200ms"), Some(200));
        assert_eq!(millis("5s"), Some(5_000));
        assert_eq!(millis("1m30s"), Some(90_000));
        assert_eq!(millis("1h 1m"), Some(3_660_000));
        assert_eq!(millis("7d"), Some(604_800_000));
        for bad in [
            "",
            "5",
            "s",
            "5 seconds",
            "1.5s",
            "-1s",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }

    fn error(text: &str) -> String {
        syn::parse_str::<Args>(text).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn errors_say_what_would_do() {
        assert!(
            error("tiemout = \"5s\"").contains(
                "there are `name`, `description`, `timeout`, `retry`, `undo` and `undoes`"
            )
        );
        assert!(error("timeout = \"5\"").contains("\"200ms\""));
        assert!(error("timeout = 5").contains("string in quotes"));
        assert!(error("name = \"\"").contains("empty"));
        assert!(error("name = \"A\", name = \"B\"").contains("twice"));
        assert!(error("undo = \"A\", undo = \"B\"").contains("twice"));
        assert!(error("undo = \"\"").contains("empty"));
        assert!(error("undoes = Order").contains("string in quotes"));
        assert!(error("retry(attempts = 3)").contains("`max_attempts`"));
        assert!(error("retry(backoff = 0.5)").contains("at least 1"));
        assert!(error("retry(backoff = -2)").contains("at least 1"));
        assert!(error("retry(jitter = 1.5)").contains("0.0 to 1.0"));
        assert!(error("retry(do_not_retry = \"a\")").contains("list of strings"));
        assert!(error("retry(max_attempts = 3, max_attempts = 4)").contains("twice"));
        assert_eq!(error(""), "");
        assert_eq!(
            error("retry(backoff = 2, do_not_retry = [\"a\", \"b\"],), timeout = \"1s\","),
            ""
        );
    }
}
