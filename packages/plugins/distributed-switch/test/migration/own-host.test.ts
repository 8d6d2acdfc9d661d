import { expect, it } from "vitest";
import { SwitchCluster, testSpec } from "../switch-cluster.ts";

it("a port does not move to the host that it is on; a move to another one is as before", async () => {
  await using cluster = await SwitchCluster.create(["a", "b"]);
  await cluster.apply(testSpec(["a", "b"]), 1);
  await cluster.allUp(1);
  await cluster.connect("nic1", "a");
  const { migration } = cluster.control.facets;
  const prepare = (targetHost: string, generation: number) =>
    migration?.prepareMigration({ switchId: "sw", portKey: "nic1", targetHost, generation }, cluster.operation());
  await expect(prepare("a", 2)).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
    message: expect.stringContaining("port 'nic1' is on host 'a' already"),
  });
  expect(await migration?.listMigrations({ switchId: "sw" }, cluster.operation())).toEqual([]);
  const ticket = await prepare("b", 2);
  // Repeated when it is activated, the port is on that host: it is the same move all the same.
  await migration?.activateMigration({ ticket: ticket?.ticket ?? "" }, cluster.operation());
  expect(await prepare("b", 2)).toMatchObject({ ticket: ticket?.ticket, state: "activated" });
});
