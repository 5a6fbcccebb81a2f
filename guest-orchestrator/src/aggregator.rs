//! The pattern of an aggregator: an entity for each article collects what it
//! is told, from orchestrators and from clients, and is asked for the sum.

use sagahost::{EntityContext, Failure, OrchestratorContext, future, info};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody thinks of an article.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Rating {
    /// From 1 to 5.
    #[schemars(range(min = 1, max = 5))]
    stars: u32,
    /// Why, if somebody says so.
    #[serde(default)]
    text: Option<String>,
}

/// What people think of an article: the state of the entity whose key is the
/// article.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct Ratings {
    /// How many ratings there were.
    count: u64,
    /// All their stars.
    stars: u64,
    /// The last text.
    last: Option<String>,
}

/// The sum of the ratings of an article.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// How many there were.
    pub count: u64,
    /// The stars of the usual one; 0 where there is none.
    pub average: f64,
    /// The last text.
    pub last: Option<String>,
}

/// What people think of an article: collects their ratings.
#[sagahost::entity]
impl Ratings {
    /// Takes in a rating.
    fn add(&mut self, ctx: &mut EntityContext, rating: Rating) -> Result<(), Failure> {
        if !(1..=5).contains(&rating.stars) {
            let message = format!("{} stars for {}: 1 to 5 can be given", rating.stars, ctx.key());
            return Err(Failure::permanent("no-rating", message));
        }
        self.count += 1;
        self.stars += u64::from(rating.stars);
        self.last = rating.text.or(self.last.take());
        Ok(())
    }

    /// Tells what it comes to.
    #[allow(clippy::cast_precision_loss)] // Nobody gives 2^52 stars.
    fn summary(&self) -> Summary {
        let average = self.stars as f64 / self.count.max(1) as f64;
        Summary { count: self.count, average, last: self.last.clone() }
    }

    /// Forgets all ratings.
    fn reset(&mut self, ctx: &mut EntityContext) {
        info!(ctx, "{} ratings of {} are forgotten", self.count, ctx.key());
        ctx.delete();
    }
}

/// What [`rate_article`] passes on.
#[derive(Deserialize, JsonSchema)]
pub struct Rated {
    /// The article.
    sku: String,
    /// What people think of it.
    ratings: Vec<Rating>,
}

/// Passes ratings on to the article's entity, without waiting, and answers with the sum.
///
/// The signals arrive in order, and before the call that comes after them.
#[sagahost::orchestrator]
pub async fn rate_article(ctx: OrchestratorContext, rated: Rated) -> Result<Summary, Failure> {
    let article = ctx.entity("Ratings", rated.sku);
    for rating in &rated.ratings {
        article.signal("add", rating);
    }
    article.call("summary", &()).await
}

/// Asks the entities of several articles, all at the same time, and answers with the one that people like best.
#[sagahost::orchestrator]
pub async fn top_rated(
    ctx: OrchestratorContext,
    articles: Vec<String>,
) -> Result<Option<String>, Failure> {
    let asked =
        articles.iter().map(|sku| ctx.entity("Ratings", sku).call::<Summary>("summary", &()));
    let mut best: Option<(f64, &String)> = None;
    for (sku, summary) in articles.iter().zip(future::join_all(asked).await) {
        let Summary { count, average, .. } = summary?;
        if count > 0 && best.is_none_or(|(so_far, _)| average > so_far) {
            best = Some((average, sku));
        }
    }
    Ok(best.map(|(_, sku)| sku.clone()))
}
