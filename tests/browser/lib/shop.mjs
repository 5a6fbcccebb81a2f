// Sagas of the sample shop, as varied as those of a real one: what went well, what
// was declined and undone, what is retried, what waits, and one that is stuck.
//
//   const goods = await shop(host);             // of lib/host.mjs
//   await goods.moment(n)                        // what a quiet moment brings, another one for each n
//   await goods.going()                          // what waits: for a person, a time, an article
//   await goods.plainGift("gift-1")              // a child, a scope that was undone, a pivot
//   await goods.hangingGift("gift-2")            // one in the middle of its work, with four steps to undo
//   await goods.cancel("gift-2", "a reason")
//   await goods.cancelSlowly("gift-2", "a reason")  // an undo of it is tried again and again
//   await goods.stuckOrder("order-1")            // whose undo needs a person

import { mkdir, readFile, rename, rmdir, writeFile } from "node:fs/promises";
import { eventually } from "./host.mjs";

const CUSTOMERS = ["Ada", "Bob", "Cleo", "Dora", "Emil", "Frida", "Gustav", "Hedy"];
const REGIONS = ["north", "south", "west"];
const ARTICLES = [["print", 1250], ["book", 1890], ["lamp", 4900]];

/** Opens the shop of a host: it has books and prints without limit, few lamps, and no vase. */
export async function shop(host) {
  let serial = 1000;
  await writeFile(host.path("shop/stock.json"), JSON.stringify({ book: null, lamp: 5, vase: 0, print: null }));

  const start = (name, id, input, tags = {}, query = {}) => {
    const words = new URLSearchParams(query);
    for (const [word, value] of Object.entries(tags)) words.append("tag", `${word}:${value}`);
    return host.start(name, id, input, `?${words}`);
  };

  function order(more = {}) {
    serial += 1;
    const [sku, price] = ARTICLES[serial % 2];
    return {
      id: `order-${serial}`, customer: CUSTOMERS[serial % CUSTOMERS.length], card: "4242",
      items: [{ sku, quantity: 1 + (serial % 3), price_cents: price }], ...more,
    };
  }

  const tagsOf = (one) => ({ customer: one.customer, region: REGIONS[serial % REGIONS.length] });

  const place = (one, more = {}) => start("OrderSaga", one.id, one, { ...tagsOf(one), ...more });

  /** What a quiet moment of the shop brings; `n` says which one. */
  async function moment(n) {
    const one = order();
    const kind = n % 12;
    if (kind === 3) await place({ ...one, card: "declined-0002" });
    else if (kind === 5) await place({ ...one, fault: { payment: "flaky" } });
    else if (kind === 7) await place({ ...one, items: [{ sku: "vase", quantity: 1, price_cents: 8900 }] });
    else if (kind === 8) await start("GreetingChain", `greet-${serial}`, ["Berlin", "Lima", "Oslo"]);
    else if (kind === 9) await start("FanOut", `squares-${serial}`, { count: 10 });
    else if (kind === 11) await start("OrderSagaByHand", one.id, { ...one, fault: { order: "fail" } }, tagsOf(one));
    else await place(one);
    return one.id;
  }

  /** A gift that was sent without its extras: one is out of stock, and the others are undone. */
  async function plainGift(id = "gift-2041") {
    const extra = (sku, more) => ({ ...order(), id: `${id}-${sku}`, items: [{ sku, quantity: 1, price_cents: 250 }], ...more });
    await start("GiftSaga", id, {
      order: { ...order(), id: `${id}-order`, fault: { payment: "flaky" } },
      extras: [extra("print"), extra("book", { fault: { order: "flaky" } }), extra("vase")],
      message: "a parcel is on its way",
    }, { customer: "Ada", region: "north" });
    await host.ended(id);
    return id;
  }

  /** A gift whose second extra hangs, so that there is something to cancel. */
  async function hangingGift(id) {
    const extra = (sku, more) => ({ ...order(), id: `${id}-${sku}`, items: [{ sku, quantity: 1, price_cents: 250 }], ...more });
    await start("GiftSaga", id, {
      order: { ...order(), id: `${id}-order`, fault: { payment: "flaky" } },
      extras: [extra("print"), extra("book", { fault: { order: "hang" } })],
      message: "a parcel is on its way",
    }, { customer: "Cleo", region: "south" });
    await eventually(`${id} has four steps to undo`, async () =>
      (await host.get(`/api/instances/${id}/undo`)).undo.length >= 4);
    return id;
  }

  async function cancel(id, reason) {
    await host.post(`/api/instances/${id}/cancel`, { reason });
    await host.until(id, ({ runtimeStatus }) => runtimeStatus === "Canceled");
    return id;
  }

  /** The same, while for a second the payments cannot be read: their undo is tried again. */
  async function cancelSlowly(id, reason) {
    const record = host.path("shop/payments", `${id}-order.json`);
    await rename(record, `${record}.kept`);
    await mkdir(record);
    await host.post(`/api/instances/${id}/cancel`, { reason });
    await eventually(`the undo of the payment of ${id} is tried again`, async () =>
      (await host.get(`/api/instances/${id}/undo`)).undo.some(({ attempt }) => attempt >= 3));
    await rmdir(record);
    await rename(`${record}.kept`, record);
    await host.until(id, ({ runtimeStatus }) => runtimeStatus === "Canceled");
    return id;
  }

  /** An order whose card is declined, and whose record is damaged meanwhile: it cannot be undone. */
  async function stuckOrder(id) {
    await place({ ...order(), id, card: "declined-0002", fault: { payment: "flaky" } });
    const record = host.path("shop/orders", `${id}.json`);
    await eventually(`the record of ${id} is there`, async () => (await readFile(record, "utf8")).endsWith("}"));
    await writeFile(record, '{"status":"placed","key":');
    await host.until(id, ({ sagaState }) => sagaState === "stuck");
    return id;
  }

  /** What goes on now: things that wait for a person, a time, or an article. */
  async function going() {
    await start("Approval", "approve-invoice-88", { timeoutSeconds: 86_400, escalateTo: "Bob" }, { team: "billing" });
    await start("Approval", "approve-invoice-91", { timeoutSeconds: 86_400 }, { team: "billing" });
    await start("Reminder", "water-the-plants", { seconds: 5400, message: "water the plants" });
    await start("WatchArticle", "watch-lamp", { sku: "vase", atLeast: 1, seconds: 86_400, pauseSeconds: 2 });
    await start("Newsletter", "newsletter-november", {
      to: CUSTOMERS, text: "there are new lamps", pauseSeconds: 8,
    }, { team: "marketing" });
    await start("Reminder", "black-friday", { seconds: 1, message: "prices go down" }, { team: "marketing" },
      { startAt: new Date(Date.now() + 4 * 86_400_000).toISOString() });
    await host.post(`/runtime/webhooks/durabletask/instances/approve-invoice-91/suspend?reason=${encodeURIComponent("the invoice is disputed")}`);
  }

  return { start, order, place, moment, plainGift, hangingGift, cancel, cancelSlowly, stuckOrder, going };
}
