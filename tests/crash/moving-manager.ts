// A manager that is going to be killed: it opens the datacenter, and moves the volume 'data' between two pools for ever.
import { enableCompileCache } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { openRealDatacenter } from "../datacenter/open-real-datacenter.ts";
import { armKillPoint } from "./arm-kill-point.ts";
import type { KillPoint } from "./manager-protocol.ts";

enableCompileCache();
const [directory = "", outside = "", kill = ""] = process.argv.slice(2);
const effects = armKillPoint(JSON.parse(kill) as KillPoint);
const dc = await openRealDatacenter({ directory, outside, virtualMachines: true, pools: ["second"] });
effects.enter("working");
for (;;) {
  const { spec } = await dc.volumes.get("data");
  const { task } = await dc.volumes.apply("data", { storage: spec.storage === "thin" ? "second" : "thin" });
  await task.wait().catch(() => undefined);
  await sleep(20);
}
