import { findCondition } from "@vdc-os/sdk";
import { expect, it } from "vitest";
import { patienceMs, prepare, requestVms, waitForAll } from "./fleet.ts";
import { openSimulatedDatacenter } from "./open-simulated-datacenter.ts";

it("a volume grows while its VM runs, and says what its guest does not see yet", async () => {
  await using opened = await openSimulatedDatacenter({ hostMemoryBytes: [2 ** 30] });
  const { dc } = opened;
  await prepare(opened);
  await waitForAll(await requestVms(dc, ["vm"]));
  const [disk] = (await dc.vms.get("vm")).status.disks ?? [];
  const name = disk?.volume ?? "";
  const { task } = await dc.volumes.update(name, { capacityBytes: 2 ** 27 });
  await task.wait({ timeoutMs: patienceMs });
  const volume = await dc.volumes.get(name);
  expect(volume.status).toMatchObject({ capacityBytes: 2 ** 27, attachedTo: { vm: "vm" } });
  expect(findCondition(volume.conditions, "Ready")).toMatchObject({
    status: "True",
    message: expect.stringMatching(/its guest sees 134217728 bytes when VM 'vm' is started anew/),
  });
});
