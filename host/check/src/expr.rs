//! The small language of invariants.
//!
//! ```text
//! OrderActivity == PaymentActivity
//! status == "completed" and output == true implies OrderActivity == 1
//! not (Refund and output.paid)
//! ```
//!
//! The name of an activity stands for how many effects of it are in place.
//! From the weakest: `implies`, `or`, `and`, `not`, comparisons (`==`, `!=`,
//! `<`, `<=`, `>`, `>=`). A number counts as true where it is not 0, and so
//! does any JSON value but `false`, `null` and 0. Where a truth value is
//! compared with something else, that is taken as a truth value, too.

use serde_json::Value;

/// What is wrong with an expression, and where: the character, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExprError {
    pub(crate) at: usize,
    pub(crate) reason: String,
}

/// An invariant's expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Value(Value),
    Effects(String),
    Output(Vec<String>),
    Status,
    Not(Box<Expr>),
    Two(Op, Box<Expr>, Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Implies,
    Or,
    And,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// What an expression is about.
pub(crate) trait Facts {
    /// How many effects of an activity are in place.
    fn effects(&self, activity: &str) -> u64;
    /// The saga's output.
    fn output(&self) -> Value;
    /// How it ended, in lower case; `running` where it did not.
    fn status(&self) -> &'static str;
}

impl Expr {
    /// Reads an expression.
    pub(crate) fn parse(text: &str) -> Result<Expr, ExprError> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, end: text.chars().count() };
        let expr = parser.implies()?;
        match parser.peek() {
            None => Ok(expr),
            Some(token) => {
                let token = token.show();
                parser.fail(format!(
                    "{token} is too much here; `and`, `or`, `implies` or a comparison could follow"
                ))
            }
        }
    }

    /// The activities that it names, with where they were first named.
    pub(crate) fn activities<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Expr::Effects(name) => found.push(name),
            Expr::Not(inner) => inner.activities(found),
            Expr::Two(_, a, b) => {
                a.activities(found);
                b.activities(found);
            }
            Expr::Value(_) | Expr::Output(_) | Expr::Status => {}
        }
    }

    /// Whether it holds.
    pub(crate) fn holds(&self, facts: &dyn Facts) -> bool {
        truth(&self.value(facts))
    }

    fn value(&self, facts: &dyn Facts) -> Value {
        match self {
            Expr::Value(value) => value.clone(),
            Expr::Effects(name) => facts.effects(name).into(),
            Expr::Output(path) => {
                let mut output = facts.output();
                for key in path {
                    output = match (output, key.parse::<usize>()) {
                        (Value::Array(mut items), Ok(at)) if at < items.len() => {
                            items.swap_remove(at)
                        }
                        (Value::Object(mut fields), _) => fields.remove(key).unwrap_or_default(),
                        _ => Value::Null,
                    };
                }
                output
            }
            Expr::Status => facts.status().into(),
            Expr::Not(inner) => (!inner.holds(facts)).into(),
            Expr::Two(op, a, b) => {
                let holds = match op {
                    Op::Implies => !a.holds(facts) || b.holds(facts),
                    Op::Or => a.holds(facts) || b.holds(facts),
                    Op::And => a.holds(facts) && b.holds(facts),
                    compare => compared(*compare, &a.value(facts), &b.value(facts)),
                };
                holds.into()
            }
        }
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => true,
    }
}

fn compared(op: Op, a: &Value, b: &Value) -> bool {
    let same = match (a, b) {
        (Value::Bool(a), b) => *a == truth(b),
        (a, Value::Bool(b)) => truth(a) == *b,
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    };
    let order = match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    match op {
        Op::Equal => same,
        Op::Unequal => !same,
        Op::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        Op::AtMost => order.is_some_and(std::cmp::Ordering::is_le),
        Op::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
        Op::AtLeast => order.is_some_and(std::cmp::Ordering::is_ge),
        Op::Implies | Op::Or | Op::And => false,
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Value(Value),
    Sign(&'static str),
}

impl Token {
    fn show(&self) -> String {
        match self {
            Token::Word(word) => format!("`{word}`"),
            Token::Value(value) => format!("`{value}`"),
            Token::Sign(sign) => format!("`{sign}`"),
        }
    }
}

const SIGNS: [&str; 8] = ["==", "!=", "<=", ">=", "<", ">", "(", ")"];

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExprError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let rest: String = chars[at..].iter().collect();
        let word = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if c.is_whitespace() {
            at += 1;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push((at, Token::Sign(sign)));
            at += sign.len();
        } else if c == '-' || c.is_ascii_digit() {
            let part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.');
            let length = chars[at..].iter().take_while(|c| part(c)).count();
            let number: String = chars[at..at + length].iter().collect();
            match serde_json::from_str(&number) {
                Ok(value) => tokens.push((at, Token::Value(value))),
                Err(_) => {
                    return Err(ExprError { at, reason: format!("`{number}` is not a number") });
                }
            }
            at += length;
        } else if matches!(c, '"' | '[' | '{') {
            let mut values = serde_json::Deserializer::from_str(&rest).into_iter::<Value>();
            match values.next() {
                Some(Ok(value)) => {
                    let length = rest[..values.byte_offset()].chars().count();
                    tokens.push((at, Token::Value(value)));
                    at += length;
                }
                _ => {
                    let reason = "what begins here is not a JSON value".to_owned();
                    return Err(ExprError { at, reason });
                }
            }
        } else if word(&c) {
            let length = chars[at..].iter().take_while(|c| word(c)).count();
            let text: String = chars[at..at + length].iter().collect();
            let token = match text.as_str() {
                "true" => Token::Value(Value::Bool(true)),
                "false" => Token::Value(Value::Bool(false)),
                "null" => Token::Value(Value::Null),
                _ => Token::Word(text),
            };
            tokens.push((at, token));
            at += length;
        } else {
            let hint = match c {
                '=' => "; two things are compared with `==`",
                '&' | '|' | '!' => "; the words are `and`, `or` and `not`",
                _ => "",
            };
            return Err(ExprError { at, reason: format!("`{c}` means nothing here{hint}") });
        }
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn fail<T>(&self, reason: String) -> Result<T, ExprError> {
        let at = self.tokens.get(self.at).map_or(self.end, |(at, _)| *at);
        Err(ExprError { at, reason })
    }

    fn takes(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        self.takes(&Token::Word(word.to_owned()))
    }

    fn implies(&mut self) -> Result<Expr, ExprError> {
        let left = self.or()?;
        if !self.word("implies") {
            return Ok(left);
        }
        Ok(Expr::Two(Op::Implies, left.into(), self.implies()?.into()))
    }

    fn or(&mut self) -> Result<Expr, ExprError> {
        let mut left = self.and()?;
        while self.word("or") {
            left = Expr::Two(Op::Or, left.into(), self.and()?.into());
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, ExprError> {
        let mut left = self.not()?;
        while self.word("and") {
            left = Expr::Two(Op::And, left.into(), self.not()?.into());
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr, ExprError> {
        if self.word("not") {
            return Ok(Expr::Not(self.not()?.into()));
        }
        let left = self.atom()?;
        let ops = [
            ("==", Op::Equal),
            ("!=", Op::Unequal),
            ("<=", Op::AtMost),
            (">=", Op::AtLeast),
            ("<", Op::Less),
            (">", Op::Greater),
        ];
        for (sign, op) in ops {
            if self.takes(&Token::Sign(sign)) {
                return Ok(Expr::Two(op, left.into(), self.atom()?.into()));
            }
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Expr, ExprError> {
        let Some(token) = self.peek().cloned() else {
            return self.fail("something is missing at the end".to_owned());
        };
        let expr = match &token {
            Token::Sign("(") => {
                self.at += 1;
                let inner = self.implies()?;
                if !self.takes(&Token::Sign(")")) {
                    return self.fail("a `)` is missing".to_owned());
                }
                return Ok(inner);
            }
            Token::Value(value) => Expr::Value(value.clone()),
            Token::Word(word) if ["and", "or", "implies"].contains(&word.as_str()) => {
                return self.fail(format!("there is nothing before `{word}`"));
            }
            Token::Word(word) if word == "status" => Expr::Status,
            Token::Word(word) if word == "output" || word.starts_with("output.") => {
                Expr::Output(word.split('.').skip(1).map(str::to_owned).collect())
            }
            Token::Word(word) => Expr::Effects(word.clone()),
            Token::Sign(_) => {
                let reason = format!(
                    "{} cannot stand here; an activity, `output`, `status` or a JSON value can",
                    token.show()
                );
                return self.fail(reason);
            }
        };
        self.at += 1;
        Ok(expr)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Shop;

    impl Facts for Shop {
        fn effects(&self, activity: &str) -> u64 {
            match activity {
                "Order" => 1,
                "Payment" => 2,
                _ => 0,
            }
        }
        fn output(&self) -> Value {
            json!({"paid": true, "lines": [{"n": 3}]})
        }
        fn status(&self) -> &'static str {
            "completed"
        }
    }

    #[track_caller]
    fn holds(text: &str) -> bool {
        Expr::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}")).holds(&Shop)
    }

    #[test]
    fn what_holds_and_what_does_not() {
        for yes in [
            "Order",
            "Order == 1 and Payment == 2",
            "Order == true",
            "Order == output.paid",
            "not Gone",
            "Order != Payment",
            "Order < Payment and Payment >= 2 and not Order > 1",
            "status == \"completed\"",
            "output.lines.0.n == 3",
            "output.nothing == null",
            "Gone implies false",
            "Order implies Payment implies status != \"failed\"",
            "Gone and Order or Payment",
            "not (Gone or Gone)",
            "output == {\"paid\": true, \"lines\": [{\"n\": 3}]}",
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in ["Gone", "Order == Payment", "not Order", "Order implies Gone", "Order == false"]
        {
            assert!(!holds(no), "{no}");
        }
    }

    #[test]
    fn mistakes_say_where_they_are() {
        for (text, at, part) in [
            ("Order = Payment", 6, "compared with `==`"),
            ("Order && Payment", 6, "`and`"),
            ("Order ==", 8, "missing at the end"),
            ("(Order", 6, "a `)` is missing"),
            ("Order Payment", 6, "too much"),
            ("and Order", 0, "nothing before"),
            ("Order == \"x", 9, "not a JSON value"),
            ("", 0, "missing"),
        ] {
            let error = Expr::parse(text).expect_err(text);
            assert_eq!(error.at, at, "{text}: {error:?}");
            assert!(error.reason.contains(part), "{text}: {error:?}");
        }
    }

    #[test]
    fn names_are_found() {
        let expr = Expr::parse("A and (not B-1 or output) implies C == 1").expect("an expression");
        let mut found = Vec::new();
        expr.activities(&mut found);
        assert_eq!(found, ["A", "B-1", "C"]);
    }
}
