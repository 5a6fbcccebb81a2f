//! Steps and their undos.

use sagahost::Failure;

// Declared in both directions.

/// Takes an item out of stock; answers with the number of the reservation.
#[sagahost::activity(undo = "Release", retry(max_attempts = 1))]
async fn reserve(item: String) -> Result<String, Failure> {
    Ok(format!("reservation of {item}"))
}

/// Puts an item back into stock.
#[sagahost::activity(undoes = "Reserve")]
async fn release(_item: String) -> Result<(), Failure> {
    Ok(())
}

/// Takes money; answers whether the bank agreed.
#[sagahost::activity(undo = "Refund", retry(max_attempts = 1))]
async fn charge(_order: String) -> Result<bool, Failure> {
    Ok(true)
}

/// Gives the money back.
#[sagahost::activity(undoes = "Charge")]
async fn refund(_order: String) -> Result<(), Failure> {
    Ok(())
}

/// Hands a parcel to the carrier.
#[sagahost::activity(undo = "Recall", retry(max_attempts = 1))]
async fn ship(_order: String) -> Result<(), Failure> {
    Ok(())
}

/// Calls a parcel back. After two attempts it takes a person.
#[sagahost::activity(undoes = "Ship", retry(max_attempts = 2))]
async fn recall(_order: String) -> Result<(), Failure> {
    Ok(())
}

/// Packs an order, at the second attempt if not at the first.
#[sagahost::activity(undo = "Unpack", retry(max_attempts = 2, do_not_retry = ["no-box"]))]
async fn pack(_order: String) -> Result<u32, Failure> {
    Ok(1)
}

/// Unpacks an order.
#[sagahost::activity(undoes = "Pack", retry(max_attempts = 0))]
async fn unpack(_order: String) -> Result<bool, Failure> {
    Ok(true)
}

// The undo names the step; whoever calls the step sees to its undo.

/// Rents a car.
#[sagahost::activity(retry(max_attempts = 1))]
async fn rent(_car: String) -> Result<(), Failure> {
    Ok(())
}

/// Gives a car back.
#[sagahost::activity(undoes = "Rent", retry(max_attempts = 1))]
async fn give_back(_car: String) -> Result<(), Failure> {
    Ok(())
}

// Nothing is declared: only the call can say it.

/// Books a room; answers with its number.
#[sagahost::activity(retry(max_attempts = 1))]
async fn book(_room: String) -> Result<u32, Failure> {
    Ok(12)
}

/// Gives up a booking, as often as one likes, and also one that there never
/// was.
#[sagahost::activity]
async fn unbook(_room: String) -> Result<(), Failure> {
    Ok(())
}

/// Undoes a whole order at once.
#[sagahost::activity]
async fn cancel_order(_order: Option<String>) -> Result<(), Failure> {
    Ok(())
}

// Nothing undoes these.

/// Tells the customer.
#[sagahost::activity(retry(max_attempts = 1))]
async fn notify(_order: String) -> Result<(), Failure> {
    Ok(())
}

/// Prints a ticket.
#[sagahost::activity(retry(max_attempts = 1))]
async fn print(_order: String) -> Result<(), Failure> {
    Ok(())
}

// This one changes nothing.

/// What shipping costs.
#[sagahost::activity(retry(max_attempts = 1))]
async fn quote(_order: String) -> Result<u32, Failure> {
    Ok(5)
}
