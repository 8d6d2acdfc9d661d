// A manager of a datacenter that is going to be killed: it opens the datacenter, waits until all is as asked, says what there is, and then does what users do,
// saying of each call what it was told. Its settings are its argument; it writes lines of JSON, and goes on after it has said what there is when it is told to
// on its standard input.
import { enableCompileCache } from "node:module";
import { once } from "node:events";
import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Logger, toVdcError } from "@vdc-os/core";
import { createTestRandom } from "@vdc-os/core/testing";
import type { Datacenter, TaskHandle } from "@vdc-os/sdk";
import { armKillPoint } from "./arm-kill-point.ts";
import { chooseOperation } from "./choose-operation.ts";
import type { ManagerLine, ManagerSettings, Operation } from "./manager-protocol.ts";
import { openRealDatacenter } from "../datacenter/open-real-datacenter.ts";
import { isConverged, readObjects, takeSnapshot } from "./take-snapshot.ts";

/** How long everything may take to become as asked, in milliseconds. */
const settleMs = 30_000;
/** How many tasks a user has under way at a time. */
const maxUnderWay = 5;

enableCompileCache();
const settings = JSON.parse(process.argv[2] ?? "") as ManagerSettings;
const effects = armKillPoint(settings.kill);
const random = createTestRandom(settings.seed);
const began = performance.now();
let calls = 0;

const dc = await openRealDatacenter({ ...settings, logger: logger() });
say({ line: "opened", uid: dc.uid, ms: Math.round(performance.now() - began) });
await settle();
if (settings.destroy) {
  effects.enter("destroying");
  await dc.destroy();
  say({ line: "destroyed" });
} else {
  if (settings.restAfterMs !== undefined) {
    effects.enter("safe");
    await work(settings.restAfterMs);
    await settle();
  }
  effects.enter("working");
  await work();
}

/** Synchronous, so that what was said before a kill is heard. */
function say(line: ManagerLine): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** Says what there is once all seems to be as asked, until it is told that it is so. */
async function settle(): Promise<void> {
  const until = performance.now() + settleMs;
  let answer = "look again";
  for (let timeIsOver = false; answer === "look again" && !timeIsOver; ) {
    while (!timeIsOver && !isConverged(dc, await readObjects(dc))) {
      timeIsOver = performance.now() > until;
      await sleep(25);
    }
    timeIsOver ||= performance.now() > until;
    const told = once(process.stdin.setEncoding("utf8"), "data") as Promise<[string]>;
    const ms = Math.round(performance.now() - began);
    say({ line: "settled", timeIsOver, ms, snapshot: await takeSnapshot(dc) });
    answer = (await told)[0].trim();
    if (answer === "look again") await sleep(50);
  }
  // With nothing to wait for, it would keep the process of a destroyed datacenter.
  process.stdin.pause();
}

/** Does what users do, until it is killed or the time is over. */
async function work(forMs: number = Number.POSITIVE_INFINITY): Promise<void> {
  const underWay = new Set<Promise<void>>();
  const until = performance.now() + forMs;
  while (performance.now() < until) {
    const id = calls++;
    const { outside, virtualMachines } = settings;
    const operation = chooseOperation({ objects: await readObjects(dc), outside, virtualMachines }, random);
    if (operation === undefined || underWay.size >= maxUnderWay) {
      await Promise.race([sleep(100), ...underWay]);
      continue;
    }
    say({ line: "asking", id, operation });
    try {
      const task = await ask(dc, operation);
      say({ line: "accepted", id });
      const waiting = watch(id, task).finally(() => underWay.delete(waiting));
      underWay.add(waiting);
    } catch (error) {
      const { code, message } = toVdcError(error);
      say({ line: "refused", id, code, message });
    }
  }
}

async function watch(id: number, task: TaskHandle): Promise<void> {
  try {
    await task.wait();
    say({ line: "done", id });
  } catch (error) {
    const { code, message } = toVdcError(error);
    say({ line: "failed", id, code, message });
  }
}

async function ask(datacenter: Datacenter, operation: Operation): Promise<TaskHandle> {
  const clients = {
    Volume: datacenter.volumes,
    Image: datacenter.images,
    Switch: datacenter.switches,
    VirtualMachine: datacenter.vms,
  };
  // Which spec belongs to which kind is the chooser's to know.
  const client = clients[operation.kind] as unknown as Datacenter["vms"];
  const { name } = operation;
  switch (operation.type) {
    case "create":
      return (await client.create({ name, spec: operation.spec as Parameters<typeof client.create>[0]["spec"] })).task;
    case "change":
      return (await client.apply(name, operation.change)).task;
    case "delete":
      return client.delete(name);
  }
}

function logger(): Logger {
  const write =
    (level: string) =>
    (message: string, fields: object = {}): void =>
      say({ line: "log", text: `${level} ${message} ${JSON.stringify(fields)}` });
  const made: Logger = {
    debug: () => {},
    info: () => {},
    warn: write("warn"),
    error: write("error"),
    child: () => made,
  };
  return made;
}
