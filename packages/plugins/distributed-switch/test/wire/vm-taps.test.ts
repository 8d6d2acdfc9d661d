import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { VmTaps } from "../../src/process/vm-taps.ts";
import { hasQemu, isDhcpDiscover, qemuArguments } from "../qemu-machine.ts";
import { SwitchCluster, testSpec } from "../switch-cluster.ts";
import { hasMacvtap } from "./interface-wire.ts";
import { TapNic } from "./tap-nic.ts";

const macOf = (index: number): string => `52:54:00:00:0c:0${index}`;

async function connectTap(cluster: SwitchCluster, index: number, host: string): Promise<string> {
  const { attachment } = await cluster.connect(`nic${index}`, host, { mac: macOf(index) });
  if (attachment.kind !== "tap") throw new Error("another attachment");
  made.push(attachment.interfaceName);
  return attachment.interfaceName;
}

/** A tap lasts: a test that ends with its ports connected would leave it. */
const made: string[] = [];
afterEach(() => {
  for (const name of made.splice(0)) spawnSync("ip", ["link", "del", "dev", name]);
});

const hasTap = (name: string): boolean => existsSync(`/sys/class/net/${name}`);

function linkIs(cluster: SwitchCluster, portKey: string, link: "up" | "down"): Promise<unknown> {
  return cluster.status(({ ports }) => ports.some((port) => port.portKey === portKey && port.link === link));
}

describe.runIf(hasMacvtap())("VM NICs by taps", () => {
  it("joins VMs on two hosts by taps that outlive the switch's process, and takes them away with their ports", async () => {
    await using cluster = await SwitchCluster.create(["a"], { nics: "tap" });
    const spawned = cluster.addSpawnedHost("b");
    await cluster.apply(testSpec(["a", "b"]), 1);
    await cluster.allUp(1);
    const [one, two] = [await connectTap(cluster, 1, "a"), await connectTap(cluster, 2, "b")];
    expect([one, two].map(hasTap)).toEqual([true, true]);
    await linkIs(cluster, "nic1", "down");
    using a = new TapNic(one, macOf(1));
    using b = new TapNic(two, macOf(2));
    await linkIs(cluster, "nic1", "up");
    await linkIs(cluster, "nic2", "up");
    a.say("by tap", 1400);
    await b.until(({ texts }) => texts.includes("by tap"));
    spawned.kill("SIGKILL");
    const again = setInterval(() => a.say("after kill -9"), 20);
    await b.until(({ texts }) => texts.includes("after kill -9")).finally(() => clearInterval(again));
    for (const portKey of ["nic1", "nic2"]) {
      await cluster.control.disconnectPort({ switchId: "sw", portKey, generation: 1 }, cluster.operation());
    }
    expect([one, two].map(hasTap)).toEqual([false, false]);
  });

  it("finds the taps again that a killed process left, and leaves those of others", async () => {
    const name = (text: string): string => `vdct${text}${process.pid}`;
    const [kept, left, others] = [name("k"), name("l"), name("o")];
    const mine = new VmTaps(`/a/${process.pid}`);
    const theirs = new VmTaps(`/b/${process.pid}`);
    await mine.add([kept, left].map((each) => ({ name: each, mtu: 1400 })));
    await theirs.add([{ name: others, mtu: 1400 }]);
    await new VmTaps(`/a/${process.pid}`).removeExcept([{ name: kept, mtu: 1400 }]);
    expect([kept, left, others].map(hasTap)).toEqual([true, false, true]);
    await mine.removeExcept([]);
    await theirs.removeExcept([]);
    expect([kept, left, others].map(hasTap)).toEqual([false, false, false]);
    await mine.add([{ name: "vdct/x", mtu: 1400 }]);
    expect(mine.failure("vdct/x")).toMatch(/^the tap 'vdct\/x' can't be made: /);
  });

  it.runIf(hasQemu())("takes what a real VM sends by its tap", async () => {
    await using cluster = await SwitchCluster.create(["a"], { nics: "tap" });
    await cluster.apply(testSpec(["a"]), 1);
    const [vmTap, server] = [await connectTap(cluster, 1, "a"), await connectTap(cluster, 2, "a")];
    using dhcp = new TapNic(server, macOf(2));
    await linkIs(cluster, "nic2", "up");
    const vm = spawn(...qemuArguments(`tap,id=n0,ifname=${vmTap},script=no,downscript=no`, macOf(1)), {
      stdio: ["ignore", "ignore", "inherit"],
    });
    try {
      await dhcp.until(({ frames }) => frames.some(isDhcpDiscover));
      expect(dhcp.frames.find(isDhcpDiscover)?.subarray(6, 12).toString("hex")).toBe(macOf(1).replaceAll(":", ""));
    } finally {
      await stop(vm);
    }
  });
});

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}
