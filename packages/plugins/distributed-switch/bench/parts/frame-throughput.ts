import { join } from "node:path";
import { median, type Report } from "@vdc-os/testing";
import { compile } from "../load/compile.ts";
import { DataPlaneClient } from "../load/data-plane-client.ts";
import { type FrameNics, framesPerSecond } from "../load/frame-nic.ts";
import { startVdeSwitch } from "../peers/vde.ts";
import { missing } from "../sandbox/requirements.ts";
import { Sandbox } from "../sandbox/sandbox.ts";

export interface FrameThroughputOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly report: Report;
  /** Told what can't be measured here, and why. */
  readonly skip: (what: string) => void;
}

const macs = ["52:54:00:00:00:01", "52:54:00:00:00:02"] as const;

/**
 * Frames of full size from one NIC to another, each joined to its switch as QEMU joins it: what the switches do without the guests' TCP and
 * their taps.
 */
export async function nicToNic({ rounds, seconds, report, skip }: FrameThroughputOptions): Promise<void> {
  const what = "Frames, NIC to NIC";
  if (process.getuid?.() !== 0) return skip(`${what}: network namespaces need root`);
  const lacking = missing(["ip", "cc", "vde_switch"]);
  if (lacking.length > 0) return skip(`${what}: not installed: ${lacking.join(", ")}`);
  using sandbox = Sandbox.open();
  const program = await compile(sandbox, "frame-nic");
  const namespace = await sandbox.namespace("fn");
  const vde = await startVdeSwitch(sandbox, namespace);
  const theirs: FrameNics = { program, namespace, by: "vde", from: vde, to: vde, framesPerWrite: 1 };
  const [from, to] = ["from.sock", "to.sock"].map((name) => join(sandbox.folder, name)) as [string, string];
  const plane = DataPlaneClient.startIn(sandbox, namespace);
  const ports = [from, to].map((socketPath, index) => ({
    key: `nic-${index}`,
    socketPath,
    settings: { macAddress: macs[index] as string, vlan: { kind: "none" } as const },
  }));
  await plane.apply({ generation: 1, switches: [{ key: "bench", vniBase: 4096, peers: [], ports }] });
  const each: FrameNics = { ...theirs, by: "stream", from, to };
  const batches: FrameNics = { ...each, framesPerWrite: 64 };
  const all = [theirs, each, batches];
  for (const nics of all) await framesPerSecond(sandbox, nics, 1);
  const runs = new Map<FrameNics, number[]>(all.map((nics) => [nics, []]));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < all.length; turn++) {
      const nics = all[(turn + round) % all.length] as FrameNics;
      runs.get(nics)?.push(await framesPerSecond(sandbox, nics, seconds));
    }
  }
  const peer = runs.get(theirs) ?? [];
  for (const [nics, how] of [
    [each, "a write a frame as QEMU"],
    [batches, "64 frames a write"],
  ] as const) {
    const own = runs.get(nics) ?? [];
    report({
      name: `${what}: ${how}, against vde_switch`,
      bound: { atLeast: 3 },
      ratios: own.map((frames, round) => frames / (peer[round] as number)),
      detail: `${[own, peer].map((side) => (median(side) / 1000).toFixed(0)).join(" against ")} thousand a second`,
    });
  }
}
