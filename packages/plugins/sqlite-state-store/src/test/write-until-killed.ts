// Writes one transaction after the other, and reports each that was acknowledged, until it is killed.
import { writeSync } from "node:fs";
import { createOperationContext } from "@vdc-os/core";
import type { StateOperation } from "@vdc-os/core/state/v1";
import { SqliteStateStore } from "../sqlite-state-store.ts";

const [path = ""] = process.argv.slice(2);
const store = await SqliteStateStore.open({ path, keepRevisions: 50 });
const context = createOperationContext();
const start = (await store.get({ key: "count" }, context)).entry;
let count = typeof start?.value === "number" ? start.value : 0;

async function write(number: number): Promise<void> {
  // Several keys, some of them long: a torn transaction would show as keys that disagree.
  const value = `${number}:${"x".repeat((number * 37) % 5000)}`;
  const operations: StateOperation[] = ["a", "b", "c"].map((key) => ({ type: "put", key, value }));
  operations.push({ type: "put", key: "count", value: number });
  operations.push(number % 2 === 0 ? { type: "put", key: "even", value } : { type: "delete", key: "even" });
  const { revision } = await store.transact({ compare: [], operations }, context);
  writeSync(1, `${number} ${revision}\n`);
}

for (;;) {
  // Four at a time share a commit, so that a kill may fall between the parts of a group too.
  await Promise.all([1, 2, 3, 4].map((step) => write(count + step)));
  count += 4;
}
